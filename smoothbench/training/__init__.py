"""What methods that learn are taught with."""
