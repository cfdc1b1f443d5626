//! What goes with a unit that is down.

use super::*;

#[test]
fn what_goes_with_a_unit_is_the_same_by_both_ways() {
    each_way(|way, gateway| {
        gateway.fake.put("a.service", "failed");
        for (property, value) in [
            ("InvocationID", "0123ab"),
            ("InactiveExitTimestamp", "1764434664244481"),
            ("BindsTo", "dev-ttyS4.device"),
            ("ProtectSystem", "strict"),
            ("ProtectHome", "no"),
        ] {
            gateway.fake.set("a.service", property, value);
        }
        let about = gateway.systemd.about(&name("a.service")).unwrap();
        assert_eq!(about.invocation, "0123ab", "{way:?}");
        assert_eq!(about.since().as_deref(), Some("@1764434664.244481"));
        assert_eq!(about.requires, ["dev-ttyS4.device"]);
        assert_eq!(about.sandbox, "ProtectSystem=strict\n");
    });
}
