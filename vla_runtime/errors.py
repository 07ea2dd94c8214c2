"""What the runtime refuses, in words a user can act on.

VLARuntimeError
├── ConfigurationError    a setting that does not exist, has the wrong type or makes no sense
├── ConventionMismatch    policy and environment mean different things by the same seven numbers
├── InvalidStatistics     normalisation statistics that are incomplete or contradictory
├── InvalidTokens         token ids that are not action tokens
├── InvalidVocabulary     a text tokenizer without room for action tokens, or whose ids are taken
├── InvalidCheckpoint     a model folder that is incomplete, damaged or not what it says
├── InvalidExample        something that cannot be trained on: NaN, an empty sentence, a missing picture
├── InvalidRecord         a record that cannot be read, or was changed
├── InvalidDataset        a data set that is incomplete, damaged or not what it says, or episodes that do not fit it
├── DatasetBusy           another process writes to the data set
├── InferenceStuck        a policy that does not come back
├── EnvironmentNotReady   act or observe before reset, or after stop
└── RecordingFailed       a result cannot be written
"""


class VLARuntimeError(Exception):
    """Root of all errors that the runtime raises on purpose."""


class ConfigurationError(VLARuntimeError, ValueError):
    """A setting that does not exist, has the wrong type or makes no sense."""


class ConventionMismatch(VLARuntimeError, ValueError):
    """Policy and environment mean different things by the same numbers."""


class InvalidStatistics(VLARuntimeError, ValueError):
    """Normalisation statistics that are incomplete or contradictory."""


class InvalidTokens(VLARuntimeError, ValueError):
    """Token ids that are not action tokens."""


class InvalidVocabulary(VLARuntimeError, ValueError):
    """A text tokenizer without room for action tokens, or whose ids are taken."""


class InvalidCheckpoint(VLARuntimeError, ValueError):
    """A model folder that is incomplete, damaged or not what it says."""


class InvalidExample(VLARuntimeError, ValueError):
    """Something that cannot be trained on: NaN, an empty sentence, a missing picture."""


class InvalidRecord(VLARuntimeError, ValueError):
    """A record that cannot be read, or was changed."""


class InvalidDataset(VLARuntimeError, ValueError):
    """A data set that is incomplete, damaged or not what it says, or episodes that do not fit it."""


class DatasetBusy(VLARuntimeError, RuntimeError):
    """Another process writes to the data set."""


class InferenceStuck(VLARuntimeError, RuntimeError):
    """A policy that does not come back."""


class EnvironmentNotReady(VLARuntimeError, RuntimeError):
    """Act or observe before reset, or after stop."""


class WorkerLost(VLARuntimeError, RuntimeError):
    """A helping process that was killed."""


class RecordingFailed(VLARuntimeError, OSError):
    """A result cannot be written."""
