"""What the venue holds (accounts, orders, money), and the only functions that change it."""
