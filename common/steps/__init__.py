"""Steps: prune, train and so on with their records in MLflow, one function for the command line and the tasks alike."""
