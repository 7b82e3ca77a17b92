"""What travels: values and bytes. No clock, socket, thread, file or database, and no opentelemetry."""
