//! Signing in with an access key of the API.

use maud::{Markup, html};

pub fn form(why: Option<&str>) -> Markup {
    html! {
        div.card.sign-in {
            h1 { "Sign in" }
            p.quiet { "With an access key of this server's API (the setting " code { "api.keys" } ")." }
            @if let Some(why) = why { div.say.fail role="alert" { p { (why) } } }
            form.field method="post" action="sign-in" {
                label for="key" { "Key" }
                input #key name="key" autocomplete="username" required;
                label for="secret" { "Secret" }
                input #secret name="secret" type="password" autocomplete="current-password" required;
                div.acts { button.first type="submit" { "Sign in" } }
            }
            details open[false] {
                summary { "With a code" }
                p.quiet { "The command " code { "reveille console" } " prints an address with a code, good once." }
                form.field method="post" action="sign-in" data-code[why.is_none()] {
                    label for="code" { "Code" }
                    input #code name="code" autocomplete="off" required;
                    div.acts { button type="submit" { "Sign in with the code" } }
                }
            }
        }
    }
}
