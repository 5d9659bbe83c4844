"""What tests of several services share: builders of facts, and fakes that are shipped."""
