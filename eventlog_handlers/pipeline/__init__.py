"""From a capture to a settled event: fold, take in, buffer, batch, send, retry, count. Owns the threads."""
