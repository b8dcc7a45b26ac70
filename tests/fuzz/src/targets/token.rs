//! The value of an `Authorization` header: whatever it says, it is no token of our issuer.

use millrace_ingress::fuzzing;

use crate::target::{Outcome, Target};

pub(super) const TARGET: Target = Target {
    name: "token",
    check,
    examples: &[
        // RFC 7515, appendix A.3: signed by the key that is known, for nobody.
        "Bearer eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
        // {"alg":"none"}, {"alg":"HS256"}, {"alg":"RS256","kid":"k"}, {"alg":"ES256","crit":[]}
        "Bearer eyJhbGciOiJub25lIn0.e30.",
        "bearer eyJhbGciOiJIUzI1NiJ9.e30.AA",
        "Bearer eyJhbGciOiJSUzI1NiIsImtpZCI6ImsifQ.e30.AA",
        "BEARER eyJhbGciOiJFUzI1NiIsImNyaXQiOltdfQ.e30.AA",
        // {"iss":"i","aud":["a","b"],"exp":1,"iat":0}, then with "aud":"a","exp":9, then with a null claim.
        "Bearer eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJpIiwiYXVkIjpbImEiLCJiIl0sImV4cCI6MSwiaWF0IjowfQ.AA",
        "Bearer eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJpIiwiYXVkIjoiYSIsImV4cCI6OX0.AA",
        "Bearer eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJpIiwiYXVkIjoiYSIsImV4cCI6OSwieCI6bnVsbH0.AA",
        "Basic dXNlcjpwYXNzd29yZA==",
    ],
    words: &[
        "Bearer ",
        "bearer",
        ".",
        "..",
        "=",
        "e30",
        "W10",
        "bnVsbA",
        "eyJhbGciOiJFUzI1NiJ9",
        "eyJhbGciOiJub25lIn0",
        "eyJhbGciOiJFUzI1NiIsImtpZCI6bnVsbH0",
        "eyJpc3MiOiJpIiwiYXVkIjoiYSIsImV4cCI6MWU5fQ",
        "eyJpc3MiOiJpIiwiYXVkIjoiYSIsImV4cCI6LTF9",
        "-",
        "_",
        "\u{e9}",
    ],
};

fn check(input: &[u8]) -> Outcome {
    let (claims, verification) = fuzzing::token(input);
    assert!(verification.is_err(), "a token of nobody passes");
    Outcome::of((claims, verification))
}
