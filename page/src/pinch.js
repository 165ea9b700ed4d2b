/** Zoom with two fingers. */

/**
 * @param {SVGSVGElement} element
 * @param {SvgPanZoom.Instance} panZoom
 */
export function pinchZoom(element, panZoom) {
  const fingers = new Map();
  let apart = 0;
  const measure = () => {
    const [[ax, ay], [bx, by]] = [...fingers.values()];
    return { distance: Math.hypot(ax - bx, ay - by), x: (ax + bx) / 2, y: (ay + by) / 2 };
  };
  element.addEventListener("pointerdown", (event) => {
    if (event.pointerType !== "touch") return;
    fingers.set(event.pointerId, [event.clientX, event.clientY]);
    if (fingers.size === 2) {
      apart = measure().distance;
      panZoom.disablePan();
    }
  });
  element.addEventListener("pointermove", (event) => {
    if (!fingers.has(event.pointerId)) return;
    fingers.set(event.pointerId, [event.clientX, event.clientY]);
    if (fingers.size !== 2) return;
    const { distance, x, y } = measure();
    const { left, top } = element.getBoundingClientRect();
    panZoom.zoomAtPointBy(distance / apart, { x: x - left, y: y - top });
    apart = distance;
  });
  for (const name of ["pointerup", "pointercancel"]) {
    element.addEventListener(name, (event) => {
      fingers.delete(event.pointerId);
      if (fingers.size < 2) panZoom.enablePan();
    });
  }
}
