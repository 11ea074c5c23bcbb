//! Suggests a known name that may be meant by an unknown one.

/// Longer names are not compared: that would take time, and no name of ours is so long.
const MAX_LENGTH: usize = 100;

/// The name among those `known` that is most like `wrong`, ignoring case, if one is like it at
/// all. Two of five characters may differ, and one in any case, as in the reference
/// implementation of GraphQL. Of equally similar names the first one is taken.
#[must_use]
pub fn nearest<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if wrong.is_empty() || wrong.len() > MAX_LENGTH {
        return None;
    }
    let wrong = wrong.to_lowercase();
    let limit = (wrong.chars().count() * 2 / 5).max(1);
    known
        .into_iter()
        .map(|name| (strsim::osa_distance(&wrong, &name.to_lowercase()), name))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    const KNOWN: [&str; 5] = ["id", "name", "account_code", "created_from", "created_to"];

    #[test]
    fn the_most_similar_name_is_suggested() {
        for (wrong, expected) in [
            ("nme", "name"),
            ("Name", "name"),
            ("naem", "name"),
            ("näme", "name"),
            ("accountCode", "account_code"),
            ("acount_code", "account_code"),
            ("created_form", "created_from"),
            ("ids", "id"),
        ] {
            assert_eq!(nearest(wrong, KNOWN), Some(expected), "{wrong}");
        }
    }

    #[test]
    fn nothing_is_suggested_for_what_is_like_no_name() {
        for wrong in ["", "q", "xyz", "colour", "limit", &"name".repeat(100)] {
            assert_eq!(nearest(wrong, KNOWN), None, "{wrong}");
        }
    }
}
