//! All bounds, each with its reason. Exceeding a bound gives a clear error that names it.

use std::time::Duration;

use serde::Deserialize;

/// The bounds of an engine that an operator sets, each as `engine.<name>`. All other bounds are constants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct EngineBounds {
    pub activity_pollers_max: usize,
    /// Starts in progress at once; more are refused (`ThrottlingException`).
    pub starts_max: usize,
    /// Task messages without the broker's confirm. Beyond the bound new starts are refused.
    pub unpublished_max: usize,
    /// Bytes that one execution may hold in memory. An execution that goes over a bound of its own ends.
    pub execution_bytes_max: u64,
    pub journal_bytes_max: u64,
    pub memory_bytes_max: u64,
    pub nesting_max: u32,
    pub executions_open_max: u64,
}

impl Default for EngineBounds {
    fn default() -> Self {
        Self {
            activity_pollers_max: ACTIVITY_POLLERS_MAX,
            starts_max: STARTS_MAX,
            unpublished_max: UNPUBLISHED_MAX,
            execution_bytes_max: EXECUTION_BYTES_MAX,
            journal_bytes_max: JOURNAL_BYTES_MAX,
            memory_bytes_max: MEMORY_BYTES_MAX,
            nesting_max: NESTING_MAX,
            executions_open_max: EXECUTIONS_OPEN_MAX,
        }
    }
}

/// Input and output of states, tasks and executions, in bytes of UTF-8 (AWS: 256 KiB).
pub const PAYLOAD_BYTES_MAX: usize = 262_144;
/// A definition, in bytes (AWS: 1 MiB).
pub const DEFINITION_BYTES_MAX: usize = 1_048_576;
/// Programs of all regular expressions of a definition, in bytes: 512 small ones, or eight of 512 KiB. In memory a
/// program is about three times of that.
pub const REGEX_PROGRAMS_BYTES_MAX: usize = 4 * 1_048_576;
/// Memory of a compiled definition, for each byte of its text. Measured: 17 MiB for 890 KB of Pass states.
pub const COMPILED_BYTES_PER_BYTE: u64 = 20;
/// Compiled definitions that are kept beside those of running executions, in bytes.
pub const COMPILED_BYTES_MAX: u64 = 128 * 1_048_576;
/// Body of an API request, in bytes (AWS: 1 MiB); a definition inside JSON quoting may be a little longer than itself.
pub const REQUEST_BYTES_MAX: usize = 2 * 1_048_576;
/// Bodies of all open API requests, in bytes: 64 of the longest.
pub const BODIES_BYTES_MAX: usize = 128 * 1_048_576;
/// The first bytes of a body, which do not count towards that bound: most answers of workers are shorter.
pub const BODY_BYTES_FREE: usize = 16 * 1_024;
/// Faults that one validation error names: a request of 2 MiB could have a hundred times its size of them.
pub const VALIDATION_ERRORS_MAX: usize = 1_000;
/// Connections of API clients at once. More than pollers of activities (1,000), each of which has one.
pub const CONNECTIONS_MAX: usize = 2_048;
/// Events in a history (AWS: 25,000; the execution fails).
pub const HISTORY_EVENTS_MAX: u64 = 25_000;
/// Client tokens of redrives that an execution remembers, and for how many seconds (AWS: the last 10, for 15 minutes).
pub const REDRIVE_TOKENS_MAX: usize = 10;
pub const REDRIVE_TOKEN_SECONDS: f64 = 900.0;
/// Tasks of other executions that wait for one execution because they made the same start. Further starts fail because
/// the name is taken.
pub const FOLLOWERS_MAX: usize = 1_000;
/// Tasks of an execution whose heartbeats share one batch of its journal: each heartbeat writes that batch again.
pub const HEARTBEATS_PER_BATCH_MAX: usize = 64;
/// Events that one decision may make before it yields to the others of its partition; the rest follows in the next.
pub const DECISION_EVENTS_MAX: usize = 1_000;
/// Work of one decision before it yields, in units of about 20 ns on a machine of 2026: about 5 ms on its partition's
/// thread. A unit is one value that is visited, copied or computed; expressions count them (`query::Roots::spend`).
pub const DECISION_WORK_MAX: u64 = 250_000;
/// The work of deciding, folding, encoding and reporting an event: about 2 µs.
pub const EVENT_WORK: u64 = 100;
/// Bytes of a payload that are made, measured and written per unit of work; a tree of small values takes as much. So a
/// decision makes about 256 KiB of new payloads, and a batch of a journal stays as small (Temporal: 4 MB per
/// transaction).
pub const BYTES_PER_WORK: u64 = 1;
/// Bytes of an event in a journal besides its payloads.
pub const EVENT_BYTES: u64 = 200;
/// Events of one express execution. It has no journal, and on AWS no documented bound but its five minutes. A loop of
/// two states reaches the bound in some seconds; an execution with tasks never does.
pub const EXPRESS_EVENTS_MAX: u64 = 1_000_000;
/// The default bound of executions that start each other, one below the other, in quick succession; machines call each
/// other some levels deep.
pub const NESTING_MAX: u32 = 100;
/// A start without `.sync` has the nesting depth of its parent if the parent has run for so long. So an execution that
/// starts its successor before its history is full (AWS's advice for endless work) may do so for ever.
pub const SUCCESSOR_SECONDS: f64 = 60.0;
/// The default bound of open standard executions (AWS: 1,000,000 for an account and region).
pub const EXECUTIONS_OPEN_MAX: u64 = 1_000_000;
/// The default bound of one execution's data in memory: all its variables (10 MiB), and 40 iterations of a Map with an
/// input, an item, a result and the parameters of a task of 256 KiB each.
pub const EXECUTION_BYTES_MAX: u64 = 64 * 1_048_576;
/// Bytes that all executions in memory may hold together (JSON text; in memory it is up to three times of that).
pub const MEMORY_BYTES_MAX: u64 = 512 * 1_048_576;
/// Memory of an execution besides its data: its actor, its mailbox, its state. Measured: 7.5 KB, of which a third is
/// counted, as with data.
pub const EXECUTION_OWN_BYTES: u64 = 3_072;
/// The data that an execution may hold even if all together are over their bound: four payloads.
pub const EXECUTION_SHARE_MIN: u64 = 1_048_576;
/// The data from which an execution is worth unloading where memory is short: a quarter of a payload.
pub const HEAVY_EXECUTION_BYTES: u64 = 65_536;
/// The default bound of one execution's journal: 25,000 events of 10 KiB (Temporal: 50 MB).
pub const JOURNAL_BYTES_MAX: u64 = 256 * 1_048_576;
/// All workflow variables of an execution together (AWS: 10 MiB).
pub const VARIABLES_BYTES_MAX: usize = 10 * 1_048_576;
/// One variable, and one `Assign` (AWS: 256 KiB).
pub const VARIABLE_BYTES_MAX: usize = 262_144;
/// A name of a state, variable, machine, execution or activity, in characters (AWS: 80).
pub const NAME_CHARS_MAX: usize = 80;
/// The accepted nesting of a JSON document: serde_json's own bound, far below the end of a stack.
pub const JSON_DEPTH_MAX: usize = 128;
/// Nesting of Parallel and Map states in a definition; AWS has no figure, the stack of a parser has.
pub const BLOCK_DEPTH_MAX: usize = 32;
/// `error` of a failure, in characters (AWS: 256).
pub const ERROR_CHARS_MAX: usize = 256;
/// `cause` of a failure, in characters (AWS: 32,768).
pub const CAUSE_CHARS_MAX: usize = 32_768;
/// An incoming token, in characters (AWS model: 2,048; our own are under 100 and fit `correlation_id`, 255).
pub const TOKEN_CHARS_MAX: usize = 2_048;
/// The default and longest wait of a task or a Wait state, in seconds (AWS: 99,999,999).
pub const TASK_TIMEOUT_SECONDS_MAX: u64 = 99_999_999;
/// How long an execution may be open (AWS: 1 year).
pub const EXECUTION_AGE_MAX: Duration = Duration::from_hours(365 * 24);
/// How long an express execution may run (AWS: 5 minutes).
pub const EXPRESS_AGE_MAX: Duration = Duration::from_mins(5);
/// Express executions that run at once: they are in memory only (some kilobytes each, and their data). Further starts
/// are refused.
pub const EXPRESS_EXECUTIONS_MAX: usize = 100_000;
/// Closed express executions that are remembered, and the bytes of their inputs and outputs together.
pub const EXPRESS_REMEMBERED: usize = 1_000;
pub const EXPRESS_REMEMBERED_BYTES: usize = 16 * 1_048_576;
/// Iterations of an inline Map that run at once where `MaxConcurrency` is 0 (AWS: 40 are in progress at a time).
pub const INLINE_MAP_CONCURRENCY: usize = 40;
/// Ids drawn for a new execution until an id falls in a partition of this node. A node that owns a single partition of
/// 48 finds none in one of 1e18 starts.
pub const ID_DRAWS_MAX: usize = 2_000;
/// A start waits so long for the first partition of its node. A node that was taken for dead and has joined again gets
/// its share when the nodes have been the same for five seconds.
pub const PARTITION_WAIT: Duration = Duration::from_secs(8);
/// The last pause between two looks for an execution whose creation was given up. The pauses double from a second, so
/// the commit is looked for over two minutes: a database that lost its connection ends it within those.
pub const CREATION_LOOK_MAX: Duration = Duration::from_mins(1);
/// Executions of a partition with a decision that was given up and may land yet, remembered one by one; with more each
/// execution of the partition counts as one of them, until none was given up for an hour.
pub const UNSURE_EXECUTIONS: usize = 4_096;
/// Partitions for express executions that a node has at most. Each is a channel to the broker.
pub const EXPRESS_PARTITIONS_MAX: u16 = 2;
/// A start that met a handover is made again in another partition so often.
pub const STARTS_AGAIN_MAX: usize = 3;
/// Messages waiting in an execution's or a partition's mailbox. Further senders wait.
pub const MAILBOX_MESSAGES: usize = 1_024;
/// Events that one commit of the store's writer gathers at most.
pub const COMMIT_EVENTS_MAX: usize = 4_000;
/// Bytes that one commit of a store in PostgreSQL gathers: its parameters are in memory twice, and one value of
/// PostgreSQL's has at most 1 GiB. A single larger append is a commit of its own.
pub const COMMIT_BYTES_MAX: usize = 16 * 1_048_576;
/// Appends that wait for the store's writer. Further senders wait.
pub const APPEND_QUEUE: usize = 4_096;
/// Reads that wait for one of the store's readers. Further readers wait.
pub const READ_QUEUE: usize = 1_024;
/// Deleted rows whose places in listings a store remembers, so that a client can delete page by page.
pub const DEPARTED_MAX: u32 = 10_000;
/// Replies that one partition takes from the broker before it has acknowledged them.
pub const REPLY_PREFETCH: u16 = 1_000;
/// Unconfirmed publishes per channel. Further publishers wait.
pub const UNCONFIRMED_PUBLISHES: usize = 1_000;
/// Body of a message that the bus sends (a payload of 256 KiB, quoted and wrapped, with room to spare; RabbitMQ 4
/// refuses above 16 MiB).
pub const MESSAGE_BYTES_MAX: usize = 4 * 1_048_576;
/// Headers of a message, encoded: they travel in one AMQP frame with the other properties, and a frame is 128 KiB by
/// default.
pub const MESSAGE_HEADERS_BYTES_MAX: usize = 65_536;
/// Short strings of AMQP 0-9-1 (names of queues and exchanges, routing keys, header names, `correlation_id`), in bytes.
pub const AMQP_SHORT_STRING_MAX: usize = 255;
/// Nesting of tables and arrays in an incoming message's headers. A deeper message is refused. The client library's
/// parser, copies and drops recurse: with a debug build 64 levels need up to 1 MiB of a thread's 2 MiB. RabbitMQ's own
/// `x-death` is three deep.
pub const AMQP_DEPTH_MAX: usize = 64;
/// Values in one table of an incoming message. A message with more is refused. One byte of a void becomes 32 bytes in
/// memory.
pub const AMQP_VALUES_MAX: usize = 8_192;
/// A method or content header of the broker. Frames are 128 KiB unless the broker is configured otherwise. A larger one
/// ends the connection.
pub const AMQP_FRAME_BYTES_MAX: usize = 4 * 1_048_576;
/// Parts of a refused message that is too large for the parking queue: the parked bytes of its body, and of its
/// headers, which with our own fit the smallest frames in use (8 KiB).
pub const PARKED_BODY_BYTES_MAX: usize = 65_536;
pub const PARKED_HEADERS_BYTES_MAX: usize = 3_072;
/// Consumers of one queue that are open while refused messages wait for the parking queue. Each has its own prefetch,
/// so good messages still come in behind the refused ones. No further consumer is opened when the refused messages in
/// memory have `INTAKE_WAITING_BYTES_MAX`.
pub const INTAKE_WINDOWS_MAX: usize = 9;
pub const INTAKE_WAITING_BYTES_MAX: usize = 64 * 1_048_576;
/// The times for which timeouts of tasks wait for the backlog of their reply queue: at most `BACKLOG_STILL_MAX` without
/// a new answer (a restarting broker is back sooner), and `BACKLOG_TAKEN_WITHIN` in all (some 500,000 answers).
pub const BACKLOG_STILL_MAX: Duration = Duration::from_secs(30);
pub const BACKLOG_TAKEN_WITHIN: Duration = Duration::from_mins(10);
/// Deliveries of a message from a quorum queue of the engine before the broker parks it: each delivery before ended its
/// connection or the process. A message that cannot be handled now is held and tried again in the engine, which the
/// broker does not count.
pub const OWN_DELIVERY_LIMIT: u32 = 100;
/// Messages that a queue of the embedded bus holds when its spec names no length of its own; a publish beyond it is
/// `Nacked`.
pub const EMBEDDED_QUEUE_MESSAGES: usize = 1_000_000;
/// HTTP Tasks under way at once in one process, each with a connection and an answer of a payload's size at most.
pub const HTTP_CALLS_MAX: u16 = 64;
/// Queues of tasks that one process declares because definitions name them. Each is remembered for the next connection,
/// and costs a question to the broker there.
pub const TASK_QUEUES_MAX: usize = 10_000;
/// Pollers that wait for activity tasks at once; each is a consumer with its own channel (RabbitMQ: 2,047 to a
/// connection by default).
pub const ACTIVITY_POLLERS_MAX: usize = 1_000;
/// Starts of children that the store is given at once. More would not make it quicker, and all else stands in line
/// behind them. 128 delayed replies beside a machine that starts itself by 75 ms (p50), 375 ms (p99).
pub const CHILD_STARTS_AT_ONCE: usize = 32;
/// So long the start of a child waits for room in memory; then its task fails, so that machines that start themselves
/// end.
pub const CHILD_PATIENCE: Duration = Duration::from_mins(1);
/// Replies whose actors ended before they heard them, in one partition; those beyond it are given back to the broker.
pub const UNHEARD_REPLIES: usize = 1_024;
/// Messages waiting in one execution's mailbox; its partition waits beyond it.
pub const EXECUTION_MAILBOX: usize = 64;
/// The default bound of starts in progress: each holds its input until the store has written it.
pub const STARTS_MAX: usize = 2_000;
/// The default bound of task messages without the broker's confirm: some seconds of a broker's work.
pub const UNPUBLISHED_MAX: usize = 10_000;
/// Bytes of task messages that the broker has not confirmed, beyond which new starts are refused: they are in memory.
pub const UNPUBLISHED_BYTES_MAX: usize = 256 * 1_048_576;
/// Verdicts and cancellations that the broker has not taken; more are dropped. No client waits for them, a few hundred
/// bytes each.
pub const ASIDES_MAX: usize = 10_000;
/// Requests of this node that wait for other nodes; more are refused. Each lives for ten seconds at most.
pub const TELLS_MAX: usize = 10_000;
/// Timers of one partition that are fetched from the store at once, in some ten megabytes; the others wait there,
/// however many are due.
pub const DUE_FETCHED_MAX: u32 = 100_000;
/// Timers of one partition that are handled at once; the others wait in their queue. Each may bring an execution into
/// memory.
pub const FIRING_MAX: usize = 1_000;
/// Children of one map run that are open at once, with any `MaxConcurrency` (AWS: 10,000, spread over a region). One
/// process runs them here: more would wait for the same writer and only take memory.
pub const MAP_RUN_CONCURRENCY: u64 = 1_000;
/// Starts of one map run's children whose commits are awaited at once: they share commits, for which a run with 64
/// waited most of its time.
pub const MAP_RUN_STARTS: usize = 256;
/// The same where the inputs of the started ones have more than `MAP_RUN_STARTS_BYTES` together.
pub const MAP_RUN_STARTS_LARGE: usize = 64;
/// Each of the starts holds its input.
pub const MAP_RUN_STARTS_BYTES: usize = 1_048_576;
/// Children of one map run that have been read and wait for their start; reading goes on below half of it.
pub const MAP_RUN_QUEUE: usize = 128;
/// Children of a map run, in all (AWS: `MaxItems` up to 100,000,000 items; here a byte is kept for each).
pub const MAP_RUN_CHILDREN_MAX: u64 = 100_000_000;
/// One item of a file, in bytes: an item larger than a payload could be narrowed by `ItemSelector`, one larger than
/// this is a mistake.
pub const ITEM_BYTES_MAX: usize = 8 * 1_048_576;
/// The header row of a CSV file, in bytes with its delimiters (AWS: 10 KiB). Each row becomes an item with all names,
/// so that a row of two bytes may need as much room as the header.
pub const CSV_HEADER_BYTES_MAX: usize = 10_240;
/// Items that `TestState` makes of `mapItemReaderData` (256 KiB), in bytes of JSON text.
pub const TEST_ITEMS_BYTES_MAX: usize = 8 * 1_048_576;
/// Size at which a file of a map run's results is closed and the next one begun (AWS: 5 GB).
pub const RESULT_FILE_BYTES: u64 = 5_000_000_000;
/// News of executions that wait for their readers; a reader that is further behind hears that it missed some.
pub const FEED_NEWS_MAX: usize = 8_192;
/// Executions that one message of news to another node names, in about 100 KB; beyond it that node's pages ask for all.
pub const NEWS_PER_MESSAGE: usize = 1_000;
/// Topics of one live stream: as many as the tabs of one browser show.
pub const TOPICS_PER_VIEWER: usize = 200;
/// People signed in to the console at once; one more ends the session that was used the longest ago.
pub const SESSIONS_MAX: usize = 1_000;
/// Wrong tries to sign in within a minute. Then no try of any caller is taken for a while.
pub const SIGN_IN_TRIES: usize = 5;
/// Fields of a form, and values that it shows: a person reads them.
pub const FORM_FIELDS_MAX: usize = 100;
/// Words to choose from in one field of a form: a longer list is no longer a choice.
pub const FORM_WORDS_MAX: usize = 500;
/// Buttons of a form. An approval link names those that it allows as bits.
pub const FORM_ACTIONS_MAX: usize = 16;
/// Memory of a compiled `pattern` of a form: it is compiled for each answer.
pub const FORM_PATTERN_BYTES_MAX: usize = 262_144;
/// A form that stands beside definitions, in bytes of JSON.
pub const FORM_BYTES_MAX: usize = 65_536;
/// A person who looks at a task holds it for others to see, in seconds; then he may have gone home.
pub const CLAIM_SECONDS: u32 = 900;
/// Claims that a page of the inbox looks at: one for each person at work.
pub const CLAIMS_SHOWN_MAX: u32 = 1_000;
/// Days that the inbox shows an answer of a person; the journal has it longer.
pub const ANSWERS_DAYS: u32 = 30;
/// An approval link ends with its task, and after so many days in any case: a mailbox is kept for years.
pub const LINK_DAYS_MAX: u32 = 366;
/// Days of an approval link that asks for no time of its own, where the task has no time limit.
pub const LINK_DAYS: u32 = 30;
/// The name of the person that an approval link is made for: an address of e-mail, or a few words.
pub const LINK_NAME_BYTES_MAX: usize = 254;
/// Seconds in which a code of `reveille console` is used: a person clicks at once.
pub const SIGN_IN_CODE_SECONDS: u32 = 120;
/// Bulk actions under way at once: each reads and writes beside the work of all executions.
pub const BULK_OPEN_MAX: usize = 16;
/// Executions that one bulk action acts on at once. The rest of the work shares the writer with them.
pub const BULK_AT_ONCE: usize = 8;
/// Executions between two notes of its progress: so many at most are looked at twice after a crash.
pub const BULK_STEP: usize = 32;
/// Refusals that a bulk action keeps with their reasons; the others are counted.
pub const BULK_REFUSALS_MAX: usize = 200;
/// Executions that are looked at to tell how many an action would concern; beyond it the number is a lower bound.
pub const BULK_COUNTED_MAX: u64 = 10_000;
/// Parked messages that one look of a bulk action takes out of their queue.
pub const BULK_PARKED_MAX: u32 = 10_000;
/// Seconds after which another server goes on with the bulk action of a server that is gone.
pub const BULK_LEASE_SECONDS: u32 = 15;
/// Days that a bulk action which has ended is listed.
pub const BULK_DAYS: u32 = 30;
/// Spans that wait for the collector of traces, about 500 bytes each; those beyond it are dropped.
pub const SPANS_WAITING_MAX: usize = 50_000;
/// Spans at which a request to the collector is full: about 400 KB, a tenth of a collector's default bound.
pub const SPANS_PER_REQUEST: usize = 512;
