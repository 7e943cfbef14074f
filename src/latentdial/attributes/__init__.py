"""What is learnt of labelled attributes: nets that read them from codes and write mean codes."""
