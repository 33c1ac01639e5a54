"""What results say: intervals over replications, the knee of a scaling curve, plots."""
