"""Find published weights and read them without running any code that they hold."""
