"""io.edgeloop.AnomalyInference: samples → scores, alarms, actions."""
