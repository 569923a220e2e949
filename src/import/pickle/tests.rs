use super::*;

/// The value of these instructions.
fn read(bytes: &[u8]) -> Result<String, String> {
    let pickle = Pickle::read(bytes).map_err(|fault| fault.to_string())?;
    Ok(shown(&pickle, pickle.root()))
}

fn shown(pickle: &Pickle<'_>, id: Id) -> String {
    let all = |items: &[Id]| items.iter().map(|item| shown(pickle, *item)).collect::<Vec<_>>().join(" ");
    match pickle.value(id) {
        Value::Row(items) => format!("[{}]", all(items)),
        Value::Dict(entries) => {
            let entries = entries.iter().map(|(k, v)| format!("{}={}", shown(pickle, *k), shown(pickle, *v)));
            format!("{{{}}}", entries.collect::<Vec<_>>().join(" "))
        }
        Value::Object { class, args, state } => {
            let state = state.map(|state| shown(pickle, state)).unwrap_or_default();
            format!("<{} {} {state}>", shown(pickle, *class), shown(pickle, *args))
        }
        Value::Global { module, name } => format!("{module}.{name}"),
        Value::Persistent(id) => format!("->{}", shown(pickle, *id)),
        Value::Text(text) => format!("'{text}'"),
        other => format!("{other:?}"),
    }
}

#[test]
fn instructions_by_hand() {
    for (bytes, wanted) in [
        (&b"\x80\x02K\x07."[..], "Int(7)"),
        (b"\x80\x02J\xfe\xff\xff\xff.", "Int(-2)"),
        (b"\x80\x02\x8a\x02\x00\x80.", "Int(-32768)"),
        (b"\x80\x02G\x3f\xf8\0\0\0\0\0\0.", "Float(1.5)"),
        (b"\x80\x02(K\x01K\x02e.", "the stack is empty"),
        (b"\x80\x02](K\x01\x88e.", "[Int(1) Bool(true)]"),
        (b"\x80\x02}(X\x01\0\0\0aK\x01\x8c\x01bNu.", "{'a'=Int(1) 'b'=Other}"),
        (b"\x80\x04\x8c\x01x\x94h\x00\x86.", "['x' 'x']"),
        // A list that holds itself.
        (b"\x80\x02]q\x00K\x01a\x86.", "the stack is too short"),
        (b"\x80\x02ccollections\nOrderedDict\n)R\x8c\x01aK\x05s.", "{'a'=Int(5)}"),
        (b"\x80\x02\x8c\x07storage\x85Q.", "->['storage']"),
        (b"\x80\x02cos\nsystem\n\x8c\x02ls\x85RK\x01b.", "<os.system ['ls'] Int(1)>"),
        (b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x02ls\x85\x81.", "<os.system ['ls'] >"),
        (b"\x80\x05\x96\x02\0\0\0\0\0\0\0ab.", "Bytes([97, 98])"),
    ] {
        let found = read(bytes).unwrap_or_else(|problem| problem.rsplit(": ").next().unwrap_or_default().to_owned());
        assert_eq!(found, wanted, "{}", bytes.escape_ascii());
    }
}

#[test]
fn what_is_damaged_or_unknown_is_named_with_its_byte() {
    for (bytes, wanted) in [
        (&b""[..], "is not a pickle of protocol 2"),
        (b"(lp0\n.", "is not a pickle of protocol 2"),
        (b"\x80\x09N.", "byte 0: protocol 9 is newer"),
        (b"\x80\x02N", "byte 3: the pickle is cut off"),
        (b"\x80\x02X\xff\xff\xff\x7fabc", "byte 2: the pickle is cut off"),
        (b"\x80\x02\x8d\xff\xff\xff\xff\xff\xff\xff\xffabc", "byte 2: the pickle is cut off"),
        // INST, EXT1, PERSID, STRING of protocol 0: not among the instructions.
        (b"\x80\x02(ios\nsystem\n.", "byte 3: instruction 0x69 is not among those"),
        (b"\x80\x02\x82\x01.", "byte 2: instruction 0x82"),
        (b"\x80\x02e.", "byte 2: there is no mark"),
        (b"\x80\x02h\x07.", "byte 2: value 7 is used before"),
        (b"\x80\x02}(K\x01u.", "byte 6: a key has no value"),
        (b"\x80\x02K\x01K\x02\x93.", "byte 6: a name is not a text"),
        (b"\x80\x02R.", "byte 2: the stack is empty"),
    ] {
        let problem = read(bytes).unwrap_err();
        assert!(problem.contains(wanted), "{}: {problem}", bytes.escape_ascii());
    }
}

#[test]
fn values_steps_and_memory_have_limits() {
    let mut many = b"\x80\x02(".to_vec();
    many.resize((1 << 20) + 10, b']');
    assert!(read(&many).unwrap_err().contains("more than 1048576 values"));
    let mut again = b"\x80\x02]".to_vec();
    again.resize((1 << 22) + 10, b'2');
    assert!(read(&again).unwrap_err().contains("more than 4194304 steps"));
    let mut marks = b"\x80\x02N".to_vec();
    marks.resize(1 << 21, 0x94);
    assert!(read(&marks).unwrap_err().contains("remembered"));
}
