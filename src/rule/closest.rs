//! Which of the known names an unknown one may mean.

/// How alike two names are at least, from 0 to 1, for one to be taken for the other.
const ALIKE: f64 = 0.85;

/// The known names that contain `asked`, else those that are spelled much like it; the closest first.
#[must_use]
pub fn closest<'n>(asked: &str, known: impl IntoIterator<Item = &'n str>) -> Vec<&'n str> {
    let asked = asked.trim_matches('*').to_lowercase();
    let mut ranked: Vec<(f64, &str)> =
        known.into_iter().map(|name| (likeness(&asked, &name.to_lowercase()), name)).collect();
    ranked.retain(|(likeness, _)| *likeness >= ALIKE);
    ranked.sort_by(|(one, name), (other, its_name)| other.total_cmp(one).then(name.cmp(its_name)));
    ranked.into_iter().map(|(_, name)| name).collect()
}

/// `; did you mean model-sweep?`, or nothing.
#[must_use]
pub fn did_you_mean<'n>(asked: &str, known: impl IntoIterator<Item = &'n str>) -> String {
    closest(asked, known).first().map(|name| format!("; did you mean {name}?")).unwrap_or_default()
}

/// 1 if `name` contains `asked`; of an ARN, its last part is compared too.
fn likeness(asked: &str, name: &str) -> f64 {
    if !asked.is_empty() && name.contains(asked) {
        return 1.0;
    }
    let last = name.rsplit(['/', ':']).next().unwrap_or(name);
    strsim::jaro_winkler(asked, name).max(strsim::jaro_winkler(asked, last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_nearly_right_is_found_and_nothing_else() {
        let known = ["denied-model", "model-sweep", "arn:aws:iam::1:user/ci/alice"];
        for (asked, expected) in [
            ("denied-modle", "denied-model"),
            ("sweep", "model-sweep"),
            ("*Alice", "arn:aws:iam::1:user/ci/alice"),
            ("alcie", "arn:aws:iam::1:user/ci/alice"),
            ("", ""),
            ("quarantine", ""),
        ] {
            assert_eq!(closest(asked, known).first().copied().unwrap_or_default(), expected, "{asked}");
        }
    }
}
