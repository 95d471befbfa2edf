"""What is transferred from teacher to student."""
