"""CloudWatch Events, called EventBridge today: PutEvents through boto3."""
