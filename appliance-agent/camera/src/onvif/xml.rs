//! A small tree out of a device's XML: bounded, with namespaces resolved.
//!
//! Prefixes mean nothing: one vendor's `tt:Position` is another's `ns2:Position`. What counts is the namespace that a
//! prefix is bound to, and of these only the [`Family`]: devices confuse ONVIF's own namespaces with each other
//! (`tptz:Position` for `tt:Position`), but a foreign namespace is an extension that must never be taken for ours.

use quick_xml::NsReader;
use quick_xml::XmlVersion;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesStart, Event};
use quick_xml::name::{Namespace, ResolveResult};

/// `GetProfiles` of a camera with eight sensors is 120 KB.
pub const MOST_BYTES: usize = 512 * 1024;
const MOST_ELEMENTS: usize = 16_384;
const MOST_DEPTH: usize = 48;

/// What a namespace belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// SOAP 1.2; also 1.1, which some devices answer with.
    Soap,
    /// Everything below `http://www.onvif.org/`.
    Onvif,
    /// WS-Addressing, all versions.
    Addressing,
    /// WS-Discovery: 2005/04, which ONVIF uses, and 1.1.
    Discovery,
    /// Anything else, also none.
    Foreign,
}

impl Family {
    fn of(namespace: &str) -> Self {
        match namespace.trim_end_matches('/') {
            "http://www.w3.org/2003/05/soap-envelope" | "http://schemas.xmlsoap.org/soap/envelope" => Self::Soap,
            "http://schemas.xmlsoap.org/ws/2004/08/addressing" | "http://www.w3.org/2005/08/addressing" => {
                Self::Addressing
            }
            "http://schemas.xmlsoap.org/ws/2005/04/discovery"
            | "http://docs.oasis-open.org/ws-dd/ns/discovery/2009/01" => Self::Discovery,
            onvif if onvif.starts_with("http://www.onvif.org/") => Self::Onvif,
            _ => Self::Foreign,
        }
    }
}

/// What is wrong with a text that should be XML.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum XmlError {
    /// Not well-formed.
    #[error("no XML: {0}")]
    Broken(String),
    /// Larger or deeper than any device has reason for.
    #[error("more than {most} {what}")]
    TooMuch {
        /// Bytes, elements, levels.
        what: &'static str,
        /// How many are allowed.
        most: usize,
    },
    /// A document type: SOAP forbids it (SOAP 1.2 part 1, §5), and nothing good comes with it.
    #[error("it has a document type")]
    DocType,
}

/// One element with all that is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Element {
    family: Family,
    name: String,
    attributes: Vec<(String, String)>,
    children: Vec<Self>,
    text: String,
}

impl Element {
    /// Reads a whole document.
    ///
    /// # Errors
    /// [`XmlError`].
    pub fn read(document: &[u8]) -> Result<Self, XmlError> {
        if document.len() > MOST_BYTES {
            return Err(XmlError::TooMuch { what: "bytes", most: MOST_BYTES });
        }
        // A few devices send names of presets in an old code page: they are still to be moved.
        let text = String::from_utf8_lossy(document);
        Builder::default().read(text.trim_start_matches('\u{feff}').trim())
    }

    /// Whether it is this element.
    pub fn is(&self, family: Family, name: &str) -> bool {
        self.family == family && self.name == name
    }

    /// Local name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Family of its namespace.
    pub const fn family(&self) -> Family {
        self.family
    }

    /// Its own text, without white space around it.
    pub fn text(&self) -> &str {
        self.text.trim()
    }

    /// Attribute by local name.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// Its elements, in order.
    pub fn children(&self) -> &[Self] {
        &self.children
    }

    /// First child of this family and name.
    pub fn child_of(&self, family: Family, name: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.is(family, name))
    }

    /// First child of ONVIF's with this name.
    pub fn child(&self, name: &str) -> Option<&Self> {
        self.child_of(Family::Onvif, name)
    }

    /// All children of ONVIF's with this name.
    pub fn each<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Self> {
        self.children.iter().filter(move |child| child.is(Family::Onvif, name))
    }

    /// Descends through ONVIF's elements.
    pub fn at(&self, path: &[&str]) -> Option<&Self> {
        path.iter().try_fold(self, |element, name| element.child(name))
    }
}

#[derive(Default)]
struct Builder {
    open: Vec<Element>,
    elements: usize,
}

impl Builder {
    fn read(mut self, text: &str) -> Result<Element, XmlError> {
        let mut reader = NsReader::from_str(text);
        reader.config_mut().expand_empty_elements = true;
        loop {
            let event = reader.read_event().map_err(|e| XmlError::Broken(e.to_string()))?;
            match event {
                Event::Start(start) => {
                    let (resolved, name) = reader.resolver().resolve_element(start.name());
                    let family = family(&resolved)?;
                    self.enter(family, name.as_ref().to_owned(), &start)?;
                }
                Event::End(_) => {
                    if let Some(root) = self.leave() {
                        // What follows the document is another one (a device that answered twice), or padding.
                        return Ok(root);
                    }
                }
                Event::Text(text) => self.append(&text.xml10_content()),
                Event::CData(text) => self.append(&text.xml10_content()),
                Event::GeneralRef(entity) => {
                    let code = entity.resolve_char_ref().map_err(|e| XmlError::Broken(e.to_string()))?;
                    match (code, resolve_predefined_entity(&entity)) {
                        (Some(character), _) => self.append(character.encode_utf8(&mut [0; 4])),
                        (None, Some(text)) => self.append(text),
                        (None, None) => return Err(XmlError::Broken(format!("unknown entity {}", &*entity))),
                    }
                }
                Event::DocType(_) => return Err(XmlError::DocType),
                Event::Eof => return Err(XmlError::Broken(String::from("it ends in the middle"))),
                Event::Empty(_) | Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
            }
        }
    }

    fn enter(&mut self, family: Family, name: String, start: &BytesStart) -> Result<(), XmlError> {
        self.elements += 1;
        if self.elements > MOST_ELEMENTS {
            return Err(XmlError::TooMuch { what: "elements", most: MOST_ELEMENTS });
        }
        if self.open.len() == MOST_DEPTH {
            return Err(XmlError::TooMuch { what: "levels", most: MOST_DEPTH });
        }
        let mut attributes = Vec::new();
        for attribute in start.attributes() {
            let attribute = attribute.map_err(|e| XmlError::Broken(e.to_string()))?;
            let value =
                attribute.normalized_value(XmlVersion::Implicit1_0).map_err(|e| XmlError::Broken(e.to_string()))?;
            attributes.push((attribute.key.local_name().as_ref().to_owned(), value.into_owned()));
        }
        self.open.push(Element { family, name, attributes, children: Vec::new(), text: String::new() });
        Ok(())
    }

    /// Closes the innermost element; the last one is the document.
    fn leave(&mut self) -> Option<Element> {
        let done = self.open.pop()?;
        match self.open.last_mut() {
            Some(parent) => {
                parent.children.push(done);
                None
            }
            None => Some(done),
        }
    }

    fn append(&mut self, text: &str) {
        if let Some(element) = self.open.last_mut() {
            element.text.push_str(text);
        }
    }
}

fn family(resolved: &ResolveResult) -> Result<Family, XmlError> {
    match resolved {
        ResolveResult::Bound(Namespace(namespace)) => Ok(Family::of(namespace)),
        ResolveResult::Unbound => Ok(Family::Foreign),
        ResolveResult::Unknown(prefix) => Err(XmlError::Broken(format!("prefix {prefix} is bound to nothing"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TT: &str = "http://www.onvif.org/ver10/schema";

    #[test]
    fn a_prefix_means_what_it_is_bound_to_where_it_stands() {
        let text = format!(
            r#"<a:x xmlns:a="{TT}"><y xmlns="{TT}">1</y><a:z xmlns:a="http://vendor.example/ext">2</a:z><a:z>3</a:z></a:x>"#
        );
        let x = Element::read(text.as_bytes()).unwrap();
        assert!(x.is(Family::Onvif, "x"));
        assert_eq!(x.child("y").unwrap().text(), "1");
        assert_eq!(x.child("z").unwrap().text(), "3");
    }

    #[test]
    fn entities_and_character_data_are_text() {
        let x = Element::read("<x a='1 &amp; 2'>&lt;C&#7911;a&gt; <![CDATA[<v>]]></x>".as_bytes()).unwrap();
        assert_eq!(x.text(), "<Của> <v>");
        assert_eq!(x.attribute("a"), Some("1 & 2"));
    }

    #[test]
    fn a_second_document_behind_the_first_is_not_read() {
        assert_eq!(Element::read(b"<x>1</x><x>2</x>").unwrap().text(), "1");
    }

    #[test]
    fn what_is_cut_too_large_or_dangerous_is_an_error() {
        let broken = |text: &[u8]| matches!(Element::read(text), Err(XmlError::Broken(_)));
        assert!(broken(b""));
        assert!(broken(b"<x><y>"));
        assert!(broken(b"<x></y>"));
        assert!(broken(b"<p:x/>"));
        assert!(broken(b"<x>&bomb;</x>"));
        assert!(broken(b"HTTP/1.1 200 OK"));
        assert_eq!(Element::read(b"<!DOCTYPE x [<!ENTITY a 'b'>]><x>&a;</x>"), Err(XmlError::DocType));
        let too_much = |text: String| match Element::read(text.as_bytes()) {
            Err(XmlError::TooMuch { what, .. }) => what,
            other => panic!("{other:?}"),
        };
        assert_eq!(too_much("<x>".repeat(MOST_DEPTH + 1)), "levels");
        assert_eq!(too_much(format!("<x>{}</x>", "<y/>".repeat(MOST_ELEMENTS))), "elements");
        assert_eq!(too_much(" ".repeat(MOST_BYTES + 1)), "bytes");
    }
}
