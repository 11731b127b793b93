//! Tests the global variables that functions of Segment have.

use super::*;

fn check(cases: &[(&str, &str)]) {
    for (expression, expected) in cases {
        assert_eq!(evaluate(expression), *expected, "{expression}");
    }
}

#[test]
fn base64_and_buffers_know_the_encodings_of_node() {
    check(&[
        ("btoa('key:')", r#""a2V5Og==""#),
        ("atob('a2V5Og==')", r#""key:""#),
        ("btoa('ü')", r#""/A==""#),
        ("Buffer.from('ü€').toString('hex')", r#""c3bce282ac""#),
        ("Buffer.from('c3bc', 'hex').toString()", r#""ü""#),
        ("Buffer.from('YQ==', 'base64').toString('utf8')", r#""a""#),
        ("Buffer.from('_-8', 'base64url').toString('base64')", r#""/+8=""#),
        ("Buffer.from('\\u00ff', 'latin1').toString('binary')", r#""ÿ""#),
        ("new Buffer.from('abc').toString('base64')", r#""YWJj""#),
        ("Buffer.concat([Buffer.from('a'), Buffer.from('b')]).toString()", r#""ab""#),
        ("Buffer.isBuffer(Buffer.alloc(2)) && Buffer.alloc(2).length", "2"),
        ("Buffer.byteLength('ü')", "2"),
        (
            "Buffer.from('abc').slice(1).toString() + Buffer.from('abc').equals(Buffer.from('abc'))",
            r#""bctrue""#,
        ),
        ("JSON.stringify(Buffer.from('a'))", r#""{\"type\":\"Buffer\",\"data\":[97]}""#),
        ("Buffer.from([1, 2, 3, 4]).readUInt32BE(0)", "16909060"),
        (
            "Buffer.from('abcd').map(b => b + 1).toString() + Buffer.from('xabc').indexOf('ab')",
            r#""bcde1""#,
        ),
        (
            "(() => { try { Buffer.from(undefined) } catch (e) { return e.message } })()",
            r#""The first argument must be of type string or an instance of Buffer, ArrayBuffer, or Array or an Array-like Object. Received undefined""#,
        ),
        (
            "(() => { try { Buffer.from('a', 'x') } catch (e) { return e.message } })()",
            r#""Unknown encoding: x""#,
        ),
        (
            "new TextEncoder().encode('ü').length + new TextDecoder().decode(new Uint8Array([0xc3, 0xbc]))",
            r#""2ü""#,
        ),
    ]);
}

#[test]
fn addresses_and_queries_are_those_of_the_web() {
    check(&[
        ("new URL('https://a.test/b?x=1#h').searchParams.get('x')", r#""1""#),
        (
            "(() => { const u = new URL('https://a.test/'); u.searchParams.set('ts', 'a b'); u.searchParams.append('y', 'ü'); return u.toString() })()",
            r#""https://a.test/?ts=a+b&y=%C3%BC""#,
        ),
        (
            "(() => { const u = new URL('https://a.test/b'); const q = u.searchParams; u.search = '?z=1'; u.pathname = '/c'; u.hash = 'k'; u.port = 8080; return [q.get('z'), u.href, JSON.stringify({u})] })()",
            r#"["1","https://a.test:8080/c?z=1#k","{\"u\":\"https://a.test:8080/c?z=1#k\"}"]"#,
        ),
        (
            "(() => { const u = new URL('../d', 'https://u:p@Ex.test:443/a/b/c'); return [u.origin, u.host, u.username, u.password, u.pathname, `${u}`] })()",
            r#"["https://ex.test","ex.test","u","p","/a/d","https://u:p@ex.test/a/d"]"#,
        ),
        (
            "(() => { try { new URL('x') } catch (e) { return [e.name, e.message, e.code] } })()",
            r#"["TypeError","Invalid URL","ERR_INVALID_URL"]"#,
        ),
        ("URL.canParse('x')", "false"),
        ("[...new URLSearchParams('?a=1&b=2&a=3')].join('|')", r#""a,1|b,2|a,3""#),
        ("new URLSearchParams([['a', '1'], ['b', 'x&y']]).toString()", r#""a=1&b=x%26y""#),
        (
            "new URLSearchParams({a: 1}).has('a') && new URLSearchParams('a=1&a=2').getAll('a').length",
            "2",
        ),
        (
            "(() => { const q = new URLSearchParams('b=1&a=2'); q.sort(); q.delete('b'); return [q.size, String(q)] })()",
            r#"[1,"a=2"]"#,
        ),
    ]);
}

#[test]
fn digests_equal_known_ones() {
    check(&[
        (
            "crypto.createHash('md5').update('abc').digest('hex')",
            r#""900150983cd24fb0d6963f7d28e17f72""#,
        ),
        (
            "crypto.createHash('sha1').update('a').update('bc').digest('hex')",
            r#""a9993e364706816aba3e25717850c26c9cd0d89d""#,
        ),
        (
            "crypto.createHash('sha256').update(Buffer.from('abc')).digest('base64')",
            r#""ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=""#,
        ),
        ("crypto.createHash('sha512').update('abc').digest().length", "64"),
        (
            "crypto.createHmac('sha256', 'key').update('The quick brown fox jumps over the lazy dog').digest('hex')",
            r#""f7bc83f430538424b13298e6aa6fb143ef4d59a14946175997479dbc2d1a3cd8""#,
        ),
        (
            "crypto.createHmac('md5', 'key').update('The quick brown fox jumps over the lazy dog').digest('hex')",
            r#""80070713463e7749b90c2dc24911e275""#,
        ),
        (
            "/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/.test(crypto.randomUUID())",
            "true",
        ),
        ("crypto.randomBytes(8).toString('hex').length", "16"),
        ("crypto.timingSafeEqual(Buffer.from('a'), Buffer.from('a'))", "true"),
        (
            "(() => { const h = crypto.createHash('md5').update('a'); const c = h.copy().update('b'); h.digest(); try { h.digest() } catch (e) { return [e.message, c.digest('hex').length] } })()",
            r#"["Digest already called",32]"#,
        ),
        (
            "(() => { try { crypto.createHash('md5').update(undefined) } catch (e) { return e.message } })()",
            r#""The \"data\" argument must be of type string or an instance of Buffer, TypedArray, or DataView. Received undefined""#,
        ),
        (
            "(() => { try { crypto.createHash('md4') } catch (e) { return e.message } })()",
            r#""Digest method not supported: md4: use md5, sha1, sha224, sha256, sha384 or sha512""#,
        ),
        (
            "uuidv5.uuidv5('url', 'http://google.com/page')",
            r#""e5721de5-c6bf-518f-884d-01479eda0d84""#,
        ),
        ("uuidv5.uuidv5('dns', 'google.com')", r#""64ee70a4-8cc1-5d25-abf2-dea6c79a09c8""#),
    ]);
}

#[test]
fn tokens_are_signed_and_verified() {
    check(&[
        (
            "jsonwebtoken.sign({a: 1}, 'secret', {noTimestamp: true})",
            r#""eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJhIjoxfQ.57TF7smP9XDhIexBqPC-F1toZReYZLWb_YRU5tv0sxM""#,
        ),
        (
            "(({a, exp, iat, iss}) => [a, exp - iat, iss])(jsonwebtoken.verify(jsonwebtoken.sign({a: 1}, 's', {expiresIn: '2h', issuer: 'i', algorithm: 'HS512'}), 's', {issuer: 'i'}))",
            r#"[1,7200,"i"]"#,
        ),
        (
            "(() => { try { jsonwebtoken.verify(jsonwebtoken.sign({a: 1}, 's'), 't') } catch (e) { return [e.name, e.message] } })()",
            r#"["JsonWebTokenError","invalid signature"]"#,
        ),
        (
            "(() => { try { jsonwebtoken.verify(jsonwebtoken.sign({exp: 1}, 's'), 's') } catch (e) { return [e.name, e.message, e.expiredAt] } })()",
            r#"["TokenExpiredError","jwt expired","1970-01-01T00:00:01.000Z"]"#,
        ),
        (
            "(() => { try { jsonwebtoken.sign({}, 'k', {algorithm: 'RS256'}) } catch (e) { return e.message } })()",
            r#""jsonwebtoken: the algorithm RS256 is not available in this program: use HS256, HS384, HS512""#,
        ),
        ("jsonwebtoken.decode(jsonwebtoken.sign({a: 2, iat: 5}, 's'))", r#"{"a":2,"iat":5}"#),
    ]);
}

#[test]
fn libraries_are_there_when_a_function_uses_them() {
    check(&[
        ("_.isString('a') && _.VERSION", r#""4.17.21""#),
        ("_.get({a: [{b: 1}]}, 'a[0].b') + _.camelCase('order done')", r#""1orderDone""#),
        (
            "moment('2026-07-01T12:00:00Z').tz('America/New_York').format('YYYY-MM-DD HH:mm Z')",
            r#""2026-07-01 08:00 -04:00""#,
        ),
        ("moment.utc('2026-01-31').add(1, 'month').format()", r#""2026-02-28T00:00:00Z""#),
        (
            "moment.tz.guess === undefined ? 0 : moment.tz('2026-01-01 00:00', 'Europe/Berlin').toISOString()",
            r#""2025-12-31T23:00:00.000Z""#,
        ),
        (
            "libphonenumberjslib.libphonenumberjs.parsePhoneNumber('+12133734253').formatNational()",
            r#""(213) 373-4253""#,
        ),
        (
            "await xml2js.parseStringPromise('<a k=\"1\"><b>x</b><b>ü &amp; y</b></a>')",
            r#"{"a":{"$":{"k":"1"},"b":["x","ü & y"]}}"#,
        ),
        (
            "await new Promise((done, failed) => xml2js.parseString('<a><b/></a>', {async: true}, (e, v) => e ? failed(e) : done(v)))",
            r#"{"a":{"b":[""]}}"#,
        ),
        (
            "new xml2js.Builder({headless: true, renderOpts: {pretty: false}}).buildObject({a: {b: '<'}})",
            r#""<a><b>&lt;</b></a>""#,
        ),
        ("xml([{a: [{_attr: {k: 1}}, 'x']}])", r#""<a k=\"1\">x</a>""#),
        ("zlib.zlib.inflateSync(zlib.zlib.deflateSync('something')).toString()", r#""something""#),
        ("(await zlib.zlib.gunzip(await zlib.zlib.gzip('x'))).toString()", r#""x""#),
    ]);
}

#[test]
fn what_is_not_available_fails_by_its_name_when_it_is_used() {
    check(&[
        ("typeof stripe + typeof AWS", r#""functionfunction""#),
        (
            "(() => { try { new AWS.S3() } catch (e) { return e.message } })()",
            r#""AWS is not available in this program: call the API with fetch""#,
        ),
        (
            "(() => { try { stripe('key') } catch (e) { return e.message } })()",
            r#""stripe is not available in this program: call the API with fetch""#,
        ),
        (
            "(() => { try { new twilio('a', 'b') } catch (e) { return e.message } })()",
            r#""twilio is not available in this program: call the API with fetch""#,
        ),
        (
            "(() => { try { new Intl.DateTimeFormat('de') } catch (e) { return e.message } })()",
            r#""Intl is not available in this program: use moment for dates and times in time zones""#,
        ),
        (
            "(() => { try { crypto.createSign('RSA-SHA256') } catch (e) { return e.message.slice(0, 52) } })()",
            r#""crypto.createSign is not available in this program: ""#,
        ),
        (
            "(() => { try { (5).toLocaleString('de-DE') } catch (e) { return e.message } })()",
            r#""Number.prototype.toLocaleString with a locale or options needs Intl, which is not available in this program: use moment, toFixed or a replacement of your own""#,
        ),
        ("typeof require + typeof process", r#""undefinedundefined""#),
    ]);
}

#[test]
fn texts_of_numbers_and_dates_are_american_english() {
    check(&[
        (
            "(1234567.891).toLocaleString() + (0).toLocaleString() + (-1234.5).toLocaleString('en-US')",
            r#""1,234,567.8910-1,234.5""#,
        ),
        ("new Date(Date.UTC(2026, 0, 2, 15, 4, 5)).toLocaleString()", r#""1/2/2026, 3:04:05 PM""#),
        (
            "new Date(0).toLocaleDateString('en-US') + new Date(0).toLocaleTimeString()",
            r#""1/1/197012:00:00 AM""#,
        ),
        (
            "(1e21).toLocaleString() + NaN.toLocaleString() + (-Infinity).toLocaleString()",
            r#""1,000,000,000,000,000,000,000NaN-∞""#,
        ),
    ]);
}

#[test]
fn timers_and_assigned_globals_work() {
    check(&[
        ("await new Promise(done => setTimeout(done, 1000, 'done'))", r#""done""#),
        ("(() => { moment = 5; return moment })()", "5"),
        ("(() => { uuidv5 = uuidv5.uuidv5; return typeof uuidv5 })()", r#""function""#),
        ("Object.keys(globalThis).includes('fetch')", "false"),
        ("global === globalThis", "true"),
        ("await new Promise(done => setImmediate(done, 7))", "7"),
        ("await new Promise(done => queueMicrotask(() => done(8)))", "8"),
        (
            "(() => { const copy = structuredClone(event); copy.properties.price = 1; return [copy.event, event.properties.price, structuredClone([new Date(0), new Map([[1, {a: 2}]])])[1].get(1).a] })()",
            r#"["Bought",5.5,2]"#,
        ),
        (
            "(() => { const copy = _.cloneDeep(event); copy.properties.price = 1; return [copy.properties, event.properties.price + 1, _.isPlainObject(event), _.isEqual(event, JSON.parse(JSON.stringify(event)))] })()",
            r#"[{"price":1},6.5,true,true]"#,
        ),
        (
            "_.keys(_.omit(event, ['n', 'properties.price']))",
            r#"["type","event","userId","properties"]"#,
        ),
        ("_.merge({}, event, {properties: {q: 1}}).properties", r#"{"price":5.5,"q":1}"#),
    ]);
    // A function can use the names of global variables for its own.
    let code = "const URL = 1, _ = 2; let crypto = 3; function moment() { return 4 }\n\
                function onTrack(event) { return {v: [URL, _, crypto, moment()]}; return event; }";
    assert_eq!(run(code, &[TRACK]), [r#"{"v":[1,2,3,4]}"#]);
}

#[test]
fn the_console_writes_lines_as_node_does() {
    let inspect = |values: &str| {
        // The console prints; its text is that of this module.
        let code = format!(
            "let line; function onTrack(event) {{ const print = console.log; console.log({values}); \
             return {{ok: true}}; return event; }}"
        );
        run(&code, &[TRACK])
    };
    assert_eq!(
        inspect("'a', {b: [1, {c: {d: {}}}]}, new Error('x'), undefined, null, 'x'.repeat(5000)"),
        [r#"{"ok":true}"#]
    );
}

#[test]
fn all_instances_share_a_package() {
    let code = "const tag = () => { _.loads = (_.loads || 0) + 1; return _.loads; };
        async function onTrack(event) { await fetch('https://api.test/').catch(() => {}); return {v: tag()}; return event; }";
    let mut function = TestFunction::new(code, json!({"globals": "fresh"})).unwrap();
    assert_eq!(function.run(&[TRACK, TRACK]), [r#"{"v":1}"#, r#"{"v":2}"#]);
    assert_eq!(function.run(&[TRACK]), [r#"{"v":3}"#]);
}
