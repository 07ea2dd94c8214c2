"""OpenVLA, natively: the network, its checkpoints, its processor and its decoding. torch lives here."""
