//! What is looked for. Knows [`crate::log`].
//!
//! | question | file |
//! |---|---|
//! | What is a rule? | [`definition`] |
//! | What can it group by or count? | [`field`] |
//! | Which rules are there? | [`catalogue`] |
//! | What may a user set? | [`settings`] |

pub mod catalogue;
pub mod definition;
pub mod field;
pub mod settings;
