//! What a stream of text is cut into.

/// What was cut out.
#[derive(Debug, PartialEq, Eq)]
pub enum Cut<'a> {
    /// What looks like one object.
    Piece {
        /// Its text.
        json: &'a [u8],
        /// What it stands in.
        within: Container,
        /// It contains one of the words that are looked for.
        is_named: bool,
    },
    /// Text that contains a word and is no object. Of a longer one, a part with the word.
    Broken(&'a [u8]),
    /// A part of an object that is longer than the limit. More parts may follow, then [`Self::Oversized`].
    Part(&'a [u8]),
    /// The end of such an object.
    Oversized,
    /// What an envelope holds before or behind its records.
    Around(&'a [u8]),
}

/// What a piece of text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Not a JSON object, or an envelope whose records must be read one by one.
    Broken,
    /// An object in which no record is recognised.
    Unknown,
    /// A record, or an envelope with one.
    Record,
}

/// Takes what was found at a stream offset. Only the verdict on a piece matters.
pub type Receiver<'r> = &'r mut dyn FnMut(u64, Cut<'_>) -> Verdict;

/// What surrounds a piece of text, and thus what the piece is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Container {
    /// Nothing, or a list: it is a record, or an envelope around one.
    None,
    /// A CloudTrail log file, or what Azure's Event Hubs pass on: it is a record. Sources: "CloudTrail log file
    /// examples" in the AWS CloudTrail user guide; "Stream Azure monitoring data to an event hub" in Azure Monitor's
    /// documentation.
    Records,
    /// A subscription of CloudWatch Logs, as Firehose writes it to S3, or the output of `aws logs
    /// filter-log-events` and `get-log-events`: its `message` may be a record. Sources: "Log group-level subscription
    /// filters" in the Amazon CloudWatch Logs user guide; "FilterLogEvents" in its API reference.
    LogEvents,
    /// The output of `aws cloudtrail lookup-events`: its `CloudTrailEvent` is a record. Source: "LookupEvents" in
    /// the AWS CloudTrail API reference.
    LookupEvents,
    /// A line of an exported log group, behind its time. Source: "Export log data to Amazon S3" in the Amazon
    /// CloudWatch Logs user guide.
    ExportLine,
    /// A fault has hidden it.
    Unknown,
}

impl Container {
    /// The envelope whose records are an array with this key.
    #[must_use]
    pub fn keyed(key: &[u8]) -> Option<Self> {
        Some(match key {
            b"Records" | b"records" => Self::Records,
            b"logEvents" | b"events" => Self::LogEvents,
            b"Events" => Self::LookupEvents,
            _ => return None,
        })
    }

    /// Whether the piece is an element of an envelope's array.
    #[must_use]
    pub const fn is_array(self) -> bool {
        matches!(self, Self::Records | Self::LogEvents | Self::LookupEvents)
    }
}
