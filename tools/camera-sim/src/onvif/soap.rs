//! Requests out of envelopes, and answers into them.

use roxmltree::{Document, Node};

const SOAP: &str = "http://www.w3.org/2003/05/soap-envelope";
const SCHEMA: &str = "http://www.onvif.org/ver10/schema";
const ERROR: &str = "http://www.onvif.org/ver10/error";

/// A refusal: subcodes of ONVIF, the more general first, and words.
#[derive(Debug, PartialEq, Eq)]
pub struct Refusal(pub &'static [&'static str], pub String);

/// A refusal with subcodes and words.
pub fn refuse<T>(codes: &'static [&'static str], words: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal(codes, words.into()))
}

/// The request's element.
pub fn body<'a, 'input>(document: &'a Document<'input>) -> Option<Node<'a, 'input>> {
    let envelope = document.root_element();
    let is = |node: &Node, name: &str| node.has_tag_name((SOAP, name));
    let body = envelope.children().find(|node| is(node, "Body")).filter(|_| is(&envelope, "Envelope"))?;
    body.children().find(Node::is_element)
}

/// Text of a child that belongs to the request's own namespace.
pub fn text<'a>(request: &Node<'a, '_>, name: &str) -> Option<&'a str> {
    child(request, name).and_then(|node| node.text()).map(str::trim)
}

/// A child that belongs to the request's own namespace.
pub fn child<'a, 'input>(request: &Node<'a, 'input>, name: &str) -> Option<Node<'a, 'input>> {
    let namespace = request.tag_name().namespace()?;
    request.children().find(|node| node.has_tag_name((namespace, name)))
}

/// A child of the schema.
pub fn schema_child<'a, 'input>(parent: &Node<'a, 'input>, name: &str) -> Option<Node<'a, 'input>> {
    parent.children().find(|node| node.has_tag_name((SCHEMA, name)))
}

/// Prefixes of an answer. Inside, answers are written with `s:`, `tt:`, `v:` (the service) and `ter:`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prefixes {
    /// As most cameras.
    Usual,
    /// The schema's prefix is the service's, and so on: allowed, and deadly for whoever trusts prefixes.
    Odd,
}

/// The answer's document.
pub fn answer(service: &str, content: &str, prefixes: Prefixes) -> String {
    let usual = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<s:Envelope xmlns:s=\"{SOAP}\" xmlns:tt=\"{SCHEMA}\" \
         xmlns:v=\"{service}\" xmlns:ter=\"{ERROR}\"><s:Header/><s:Body>{content}</s:Body></s:Envelope>"
    );
    match prefixes {
        Prefixes::Usual => usual,
        Prefixes::Odd => [("s", "tptz"), ("tt", "SOAP-ENV"), ("v", "tt")]
            .into_iter()
            .fold(usual, |text, (from, to)| {
                // In two steps, so that a new prefix is not taken for an old one.
                text.replace(&format!("<{from}:"), &format!("<\u{1}{to}:"))
                    .replace(&format!("</{from}:"), &format!("</\u{1}{to}:"))
                    .replace(&format!("xmlns:{from}="), &format!("xmlns:\u{1}{to}="))
            })
            .replace('\u{1}', ""),
    }
}

/// The fault's document.
pub fn fault(refusal: &Refusal, prefixes: Prefixes) -> String {
    let Refusal(codes, words) = refusal;
    let open: Vec<String> = codes.iter().map(|code| format!("<s:Subcode><s:Value>ter:{code}</s:Value>")).collect();
    let (open, close) = (open.concat(), "</s:Subcode>".repeat(codes.len()));
    let content = format!(
        "<s:Fault><s:Code><s:Value>s:Sender</s:Value>{open}{close}</s:Code>\
         <s:Reason><s:Text xml:lang=\"en\">{words}</s:Text></s:Reason></s:Fault>"
    );
    answer(ERROR, &content, prefixes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_prefixes_are_still_xml_with_the_same_namespaces() {
        let content = "<v:GetStatusResponse><v:PTZStatus><tt:Position/></v:PTZStatus></v:GetStatusResponse>";
        let odd = answer("http://www.onvif.org/ver20/ptz/wsdl", content, Prefixes::Odd);
        let document = Document::parse(&odd).unwrap();
        let response = body(&document).unwrap();
        assert!(response.has_tag_name(("http://www.onvif.org/ver20/ptz/wsdl", "GetStatusResponse")));
        assert!(schema_child(&child(&response, "PTZStatus").unwrap(), "Position").is_some());
        assert!(odd.contains("<tt:GetStatusResponse>") && odd.contains("<SOAP-ENV:Position/>"), "{odd}");
    }
}
