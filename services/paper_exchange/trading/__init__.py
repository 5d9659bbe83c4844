"""What customers ask of orders: place, modify, cancel, query; filters, matching and triggers."""
