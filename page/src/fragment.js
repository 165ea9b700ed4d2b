/** What the address says after "#": the keys of nodes, as in "#node=features.0.norm%23batch_norm". */

/** @returns {string[]} */
export function readFragment() {
  return new URLSearchParams(location.hash.slice(1)).getAll("node");
}

/** @param {?string} key */
export function writeFragment(key) {
  // A page inside another one (srcdoc) has no address of its own.
  if (location.protocol === "about:") return;
  const address = key ? `#${new URLSearchParams({ node: key })}` : "#";
  if (location.hash !== address && (location.hash || key)) history.replaceState(null, "", address);
}
