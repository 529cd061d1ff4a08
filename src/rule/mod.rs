//! What is looked for. Knows [`crate::log`].
//!
//! | question | file |
//! |---|---|
//! | What is a rule? | [`definition`] |
//! | What must a record show? | [`condition`] |
//! | What can it group by or count? | [`field`] |
//! | Which ways in can show it? | [`feed`] |
//! | Who does an ARN name? | [`identity`] |
//! | Which values may it have? | [`bounds`] |
//! | Whom does an exemption reach? | [`exempt`] |
//! | How is it written down? | [`mod@file`], `value` |
//! | Which rules are there? | [`catalogue`] |
//! | What did the user set? | [`settings`] |
//! | Which name may be meant? | [`closest`] |

pub mod bounds;
pub mod catalogue;
pub mod closest;
pub mod condition;
pub mod definition;
pub mod exempt;
pub mod feed;
pub mod field;
pub mod file;
pub mod identity;
pub mod settings;
mod value;
