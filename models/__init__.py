"""What things are: frozen value types, the tables that keep them, and the migrations. Knows nothing of the worker."""
