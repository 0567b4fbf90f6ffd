"""Results of earlier versions, brought to the names and the form that they have now."""
