//! How much time a delivery has left.

use std::fmt;
use std::time::Duration;

/// The time left, by a clock that the shell gives, and how much of it a step must find before it begins.
#[derive(Clone, Copy)]
pub struct TimeLeft<'c> {
    clock: Option<&'c dyn Fn() -> Duration>,
    step: Duration,
}

impl<'c> TimeLeft<'c> {
    /// As much as anything needs.
    pub const UNLIMITED: Self = Self { clock: None, step: Duration::ZERO };

    /// What `clock` returns is left. Nothing begins with less than `step`, the time that the longest step needs.
    #[must_use]
    pub fn new(clock: &'c dyn Fn() -> Duration, step: Duration) -> Self {
        Self { clock: Some(clock), step }
    }

    /// The same, but that nothing begins with less than half of what is left now.
    #[must_use]
    pub fn first_half(self) -> Self {
        let half = self.clock.map_or(Duration::ZERO, |left| left().checked_div(2).unwrap_or_default());
        Self { step: self.step.max(half), ..self }
    }

    /// Whether there is time to begin something.
    #[must_use]
    pub fn suffices(&self) -> bool {
        self.clock.is_none_or(|left| left() >= self.step)
    }

    /// How long it will be enough to begin something; `None` for ever.
    #[must_use]
    pub fn until_short(&self) -> Option<Duration> {
        self.clock.map(|left| left().saturating_sub(self.step))
    }
}

impl fmt::Debug for TimeLeft<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TimeLeft").field("until_short", &self.until_short()).finish()
    }
}
