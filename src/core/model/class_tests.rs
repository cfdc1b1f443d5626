use super::*;

#[test]
fn names_round_trip() {
    for class in Class::ALL {
        assert_eq!(class.as_str().parse(), Ok(*class));
    }
}

#[test]
fn every_row_says_something_about_its_class() {
    for class in Class::ALL {
        let row = class.row();
        let place = format!("src/core/model/class.rs: {class}");
        assert!(!row.words.is_empty(), "{place}: words");
        assert!(
            row.cause.is_none_or(|(_, sure)| sure > 0.0 && sure <= 1.0),
            "{place}: cause"
        );
        let bare = |step: &&&str| !step.contains('{') && !step.starts_with('#');
        assert!(
            row.steps.iter().any(|step| bare(&step)),
            "{place}: steps: one that needs no fact"
        );
        assert!(
            row.root_with.is_none() || row.rank.is_some(),
            "{place}: root_with without a rank"
        );
    }
}
