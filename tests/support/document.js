"use strict";
// As much of a browser's document as the script of report.html needs, built from the page's own elements (stdin).

class El {
  constructor(tag) {
    Object.assign(this, { tag, attributes: {}, childNodes: [], parentNode: null, handlers: {}, value: "" });
  }
  get children() { return this.childNodes.filter((c) => typeof c !== "string"); }
  get textContent() { return this.childNodes.map((c) => (typeof c === "string" ? c : c.textContent)).join(""); }
  set textContent(text) { this.childNodes = [String(text)]; }
  setAttribute(key, value) { this.attributes[key] = String(value); }
  getAttribute(key) { return key in this.attributes ? this.attributes[key] : null; }
  hasAttribute(key) { return key in this.attributes; }
  removeAttribute(key) { delete this.attributes[key]; }
  append(...made) {
    for (const each of made) {
      if (typeof each === "string") { this.childNodes.push(each); continue; }
      if (each.parentNode) each.parentNode.childNodes = each.parentNode.childNodes.filter((c) => c !== each);
      each.parentNode = this;
      this.childNodes.push(each);
    }
  }
  before(made) {
    made.parentNode = this.parentNode;
    this.parentNode.childNodes.splice(this.parentNode.childNodes.indexOf(this), 0, made);
  }
  replaceChildren(...made) { this.childNodes = []; this.append(...made); }
  cloneNode() { const copy = new El(this.tag); copy.attributes = { ...this.attributes }; return copy; }
  addEventListener(name, handler) { (this.handlers[name] ||= []).push(handler); }
  dispatch(name, event = {}) { (this.handlers[name] || []).forEach((h) => h({ preventDefault() {}, ...event })); }
  focus() { document.activeElement = this; this.dispatch("focus"); }
  get classList() {
    const all = () => (this.attributes.class || "").split(" ").filter(Boolean);
    return { add: (c) => { this.attributes.class = [...new Set([...all(), c])].join(" "); },
             remove: (c) => { this.attributes.class = all().filter((each) => each !== c).join(" "); } };
  }
  *walk() { for (const c of this.children) { yield c; yield* c.walk(); } }
  fits(simple) {
    const [tag, ...classes] = simple.split(".");
    return (!tag || tag === this.tag) && classes.every((c) => (this.attributes.class || "").split(" ").includes(c));
  }
  querySelectorAll(selector) {
    const steps = selector.split(" "), last = steps.pop();
    return [...this.walk()].filter((each) => {
      if (!each.fits(last)) return false;
      let wanted = [...steps];
      for (let up = each.parentNode; up && wanted.length; up = up.parentNode) if (up.fits(wanted[wanted.length - 1])) wanted.pop();
      return wanted.length === 0;
    });
  }
}
function build([tag, attributes, children]) {
  const made = new El(tag);
  made.attributes = attributes;
  made.append(...children.map((c) => (typeof c === "string" ? c : build(c))));
  return made;
}
const document = build(JSON.parse(require("fs").readFileSync(0, "utf8")));
document.getElementById = (id) => [...document.walk()].find((each) => each.attributes.id === id) || null;
document.createElement = (tag) => new El(tag);
document.createElementNS = (_, tag) => new El(tag);
class Image {} // pictures never load here: a browser's test looks at them
