"""Amazon SES event publishing through Amazon SNS: who sent it, and what it tells."""
