"""The doctor: whether a machine is fit for measuring, one line for each check."""
