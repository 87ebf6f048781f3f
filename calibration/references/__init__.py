"""Choice of reference files: by CRDS rules, or by the headers of a local folder."""
