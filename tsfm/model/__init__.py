"""From a Problem to an Answer: scaler, patching, backbone, head, and the checkpoint directory."""
