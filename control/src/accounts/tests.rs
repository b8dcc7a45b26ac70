//! Names as Knative makes them, and when an account may be used.

use super::*;

fn subscription() -> Meta {
    Meta { name: "billing".into(), namespace: "shop".into(), uid: "u-1".into(), ..Meta::default() }
}

const NAME: &str = "billing-oidc-messaging.knative.dev-subscription";

fn known(owner: &str) -> Accounts {
    let found = ExistingAccount { uid: "a-1".to_owned(), owner: owner.to_owned() };
    Accounts::Known([(("shop".to_owned(), NAME.to_owned()), found)].into())
}

fn of(wanted: bool, accounts: &Accounts) -> Account {
    Account::of(&subscription(), wanted, accounts, &BTreeMap::new())
}

#[test]
fn names_are_knatives_also_where_they_are_shortened() {
    for (subscription, expected) in [
        ("billing", NAME),
        ("aaaaaaaaaaaaaaaaaaaaaaa", "aaaaaaaaaaaaaaaaaaaaaaa-oidc-messaging.knative.dev-subscription"),
        ("aaaaaaaaaaaaaaaaaaaaaaaa", "aaaaaaaaaaaaaaaaaaaaaaaa086a6061627115da11bfeae8f70b8508-oidc-m"),
        ("payments-and-refunds-of-shops", "payments-and-refunds-of-shopsab91b71d7fb9b633273c787fe4ece77b-o"),
        // The last character would be a hyphen.
        ("bbbbbbbbbbbbbbbbbbbbbbbbbbbbbb", "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbb726f1a6f95461bf1354c5e00dbbf54c8"),
        ("xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxb3162bd242709805533aa23e0b4d03e8"),
    ] {
        assert_eq!(name(subscription), expected, "{subscription}");
    }
}

#[test]
fn an_account_is_used_when_it_is_there_and_the_subscriptions_own() {
    assert_eq!(of(true, &Accounts::Unknown), Account::Missing(NAME.to_owned()));
    assert_eq!(of(true, &Accounts::Known(BTreeMap::new())), Account::Missing(NAME.to_owned()));
    assert!(of(true, &Accounts::Unknown).for_deliveries().is_err());
    assert_eq!(of(true, &known("u-1")).for_deliveries(), Ok(NAME));
    for owner in ["", "somebody"] {
        let failure = of(true, &known(owner)).for_deliveries().unwrap_err();
        assert_eq!(failure.message, format!("service account {NAME} not owned by Subscription billing"));
    }
    let unreadable = of(true, &Accounts::Unreadable("forbidden".to_owned())).for_deliveries().unwrap_err();
    assert_eq!(unreadable.reason, REFUSED);
    assert!(unreadable.message.ends_with("for Subscription: forbidden"), "{}", unreadable.message);
    let failures = [(("shop".to_owned(), NAME.to_owned()), "quota".to_owned())].into();
    let failed = Account::of(&subscription(), true, &Accounts::Known(BTreeMap::new()), &failures);
    let expected = "could not create OIDC service account billing/shop for Subscription: quota";
    assert_eq!(failed.for_deliveries().unwrap_err().message, expected);
}

#[test]
fn without_the_feature_nothing_is_asked_for_and_only_an_own_account_goes() {
    assert_eq!(of(false, &Accounts::Unknown), Account::Off);
    assert_eq!(of(false, &known("somebody")), Account::Off);
    let left = of(false, &known("u-1"));
    assert_eq!(left, Account::Leftover { name: NAME.to_owned(), uid: "a-1".to_owned() });
    // Deliveries stop to use it at once; the status tells it until it is gone.
    assert_eq!((left.for_deliveries(), left.name()), (Ok(""), Some(NAME)));
}
