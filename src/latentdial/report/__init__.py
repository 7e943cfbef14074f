"""What people look at: PNG figures and the self-contained HTML report."""
