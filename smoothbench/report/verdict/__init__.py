"""What a report says first: which methods no other is shown to beat, at each budget, and how sure that is."""
