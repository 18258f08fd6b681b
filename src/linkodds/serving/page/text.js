// Ids are anybody's text: what is made here goes into textContent, attributes and text nodes only, never into HTML.

// Characters that steer a terminal, re-order a line or break it, and halves of characters.
const STEERING = /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;

const escaped = (text) => text.replace(STEERING, (each) => `\\u${each.charCodeAt(0).toString(16).padStart(4, "0")}`);

export function shown(value, limit = 120) {
  const text = String(value);
  const cut = text.length > limit ? text.slice(0, limit - 1) : text;
  return escaped(cut) + (text.length > limit ? `… (${text.length.toLocaleString("en-US")} characters)` : "");
}

// As the terminal and the report write numbers: three digits, or whole with grouped thousands.
export function numberText(value) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "n/a";
  const size = Math.abs(value);
  if (size >= 999.5 || Number.isInteger(value)) return Math.round(value).toLocaleString("en-US");
  if (size < 1e-4) {
    const [mantissa, exponent] = value.toExponential(2).split("e");
    const raised = [...String(Number(exponent))].map((each) => (each === "-" ? "⁻" : "⁰¹²³⁴⁵⁶⁷⁸⁹"[Number(each)])).join("");
    return `${mantissa}×10${raised}`;
  }
  return value.toPrecision(3);
}

// A probability as odds: 1 to so many against, or so many to 1.
export function oddsText(probability) {
  if (probability === null) return "";
  if (probability >= 1) return "certain";
  if (probability <= 0) return "none";
  const odds = probability / (1 - probability);
  return odds >= 1 ? `${numberText(odds)} : 1` : `1 : ${numberText(1 / odds)}`;
}

export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.filter((each) => each !== null && each !== undefined));
  return made;
}

// An id, kept from re-ordering what stands around it.
export function id(value, limit) {
  return element("bdi", { class: "id", title: String(value).length > (limit || 120) ? shown(value, 2000) : null }, shown(value, limit));
}

// Lines of text into pairs of ids; a line that is none is counted.
export function pairsOf(text) {
  const pairs = [];
  let others = 0;
  for (const line of text.split(/\r\n|\n|\r/)) {
    if (!line.trim()) continue;
    const fields = fieldsOf(line);
    if (fields.length >= 2 && fields[0] !== "" && fields[1] !== "") pairs.push([fields[0], fields[1]]);
    else others += 1;
  }
  return { pairs, others };
}

function fieldsOf(line) {
  for (const delimiter of ["\t", ",", ";"]) if (line.includes(delimiter)) return split(line, delimiter);
  return line.trim().split(/\s+/);
}

function split(line, delimiter) {
  const fields = [];
  let field = "", quoted = false;
  for (let i = 0; i < line.length; i++) {
    const each = line[i];
    if (quoted && each === '"' && line[i + 1] === '"') { field += '"'; i += 1; }
    else if (quoted && each === '"') quoted = false;
    else if (!quoted && each === '"' && field.trim() === "") { quoted = true; field = ""; }
    else if (!quoted && each === delimiter) { fields.push(field.trim()); field = ""; }
    else field += each;
  }
  fields.push(field.trim());
  return fields;
}
