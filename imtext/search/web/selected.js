// The selected pictures: id → name. The list shows them, and the bar at the bottom acts on them.

export const selection = new Map();
export const MOST_SELECTED = 1000; // what the server packs into one ZIP
