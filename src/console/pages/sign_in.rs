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
        }
    }
}
