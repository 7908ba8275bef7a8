//! Why a test is not run: the request itself is wrong (AWS: `ValidationException`).

/// Texts marked *recorded* are AWS's own.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Recorded.
    #[error("State not found in definition")]
    StateNotFound,
    /// Recorded.
    #[error("RoleArn must be specified when testing a {0} state")]
    RoleNeeded(&'static str),
    /// Recorded.
    #[error("A test mock should have only one of the following fields: [result, errorOutput].")]
    MockOfBoth,
    /// Recorded.
    #[error("Mocked result must be valid JSON")]
    MockNotJson,
    /// Recorded.
    #[error("Mocked result must be an array.")]
    MockNotArray,
    /// Recorded.
    #[error("Mocked result must be a JSON object.")]
    MockNotObject,
    /// Recorded.
    #[error("Mocked result must contain the same number of items as number of Parallel branches.")]
    MockBranches,
    /// Recorded: `Mock result schema validation error: Field '…' must be a string`.
    #[error("{0}")]
    MockShape(String),
    /// Recorded.
    #[error("Map iteration failure count must be less than or equal to the number of Map iterations")]
    TooManyFailures,
    #[error("A test mock must have one of the following fields: [result, errorOutput].")]
    MockOfNothing,
    #[error("A test mock's errorOutput must have an error")]
    MockWithoutError,
    /// Recorded.
    #[error("State type '{0}' is not supported when a mock is specified")]
    MockNotTaken(&'static str),
    #[error("A test mock must be specified when testing a {0} state")]
    MockNeeded(&'static str),
    #[error("A test mock must be specified when testing a Task state that waits: '{0}'")]
    MockNeededToWait(String),
    /// A report of those who measured AWS: it is refused. The words are ours.
    #[error("Secrets cannot be revealed when a mock is specified")]
    SecretsOfMock,
    #[error("A context can only be specified together with a test mock")]
    ContextWithoutMock,
    /// Recorded.
    #[error(
        "Invalid Context object provided: Context object contains 'Task' when state is not a Task state with a '.sync' \
         or \
         '.waitForTaskToken' service integration pattern"
    )]
    ContextWithTask,
    #[error("The {0} must be a JSON object")]
    NotAnObject(&'static str),
    #[error("The state configuration '{field}' can only be specified when testing a {kinds} state")]
    ConfigurationNotTaken { field: &'static str, kinds: &'static str },
    #[error("The map item reader data cannot be read as {format}: {why}")]
    ReaderData { format: String, why: String },
    /// Ours: the state neither ended nor failed.
    #[error("The state could not be run to its end")]
    Stuck,
}
