"""Training: from uploaded samples to a model package, on one machine or as a SageMaker training job."""
