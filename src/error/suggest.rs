//! What somebody may have meant who wrote a name that is not known.

/// Longer names are not compared: none of ours is so long, and it would take time.
const MAX_LENGTH: usize = 100;

/// The name among those `known` that is most like `wrong`, ignoring case, if one is like
/// it at all: two of five characters may differ, and one in any case. That is what the
/// reference implementation of GraphQL suggests by. Of names that are equally like it,
/// the first one counts.
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
