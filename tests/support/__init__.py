"""What tests share: tiny models, configurations, results folders, damaged data."""
