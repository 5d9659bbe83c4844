"""The words of the house: values and rules that need no wire, no venue and no clock."""
