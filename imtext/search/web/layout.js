// Where pictures are: rows of squares below headings. Only arithmetic, so that the height is known before any picture.

const GAP = 6, HEAD = 44, BELOW = 18; // pixels: between tiles, of a heading, below a section

export function layout(sections, width) {
  const least = width < 640 ? 104 : 176;
  const columns = Math.max(2, Math.floor((width + GAP) / (least + GAP)));
  const side = (width - GAP * (columns - 1)) / columns, step = side + GAP;
  let top = 0, first = 0;
  const blocks = sections.map(({ title, count, date }) => {
    const head = title ? HEAD : 0;
    const block = { title, count, date, first, top, head, height: head + Math.ceil(count / columns) * step + BELOW };
    top += block.height;
    first += count;
    return block;
  });
  return { blocks, columns, side, step, total: first, height: top };
}

// The last block whose `key` (top or first) is not above a value.
function blockAt({ blocks }, key, value) {
  let low = 0, high = blocks.length - 1;
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (blocks[middle][key] <= value) low = middle;
    else high = middle - 1;
  }
  return low;
}

export const blockOf = (plan, place) => blockAt(plan, "first", place);
export const blockNear = (plan, y) => blockAt(plan, "top", y);

// Left and top of a picture.
export function position(plan, place) {
  const block = plan.blocks[blockOf(plan, place)], index = place - block.first;
  return [(index % plan.columns) * plan.step, block.top + block.head + Math.floor(index / plan.columns) * plan.step];
}

// The first and the last picture of the rows between two heights.
export function between(plan, from, to) {
  if (!plan.total) return [0, -1];
  const row = (block, y) => Math.floor((y - block.top - block.head) / plan.step);
  const start = plan.blocks[blockNear(plan, from)], end = plan.blocks[blockNear(plan, to)];
  const first = start.first + Math.min(start.count, Math.max(0, row(start, from)) * plan.columns);
  const last = end.first + Math.min(end.count, Math.max(0, row(end, to) + 1) * plan.columns) - 1;
  return [Math.min(first, plan.total - 1), last];
}

// The picture above (-1) or below (1) another one, across headings.
export function vertical(plan, place, direction) {
  const number = blockOf(plan, place), block = plan.blocks[number], { columns } = plan;
  const column = (place - block.first) % columns, next = place + direction * columns;
  const row = Math.floor((next - block.first) / columns), rows = Math.ceil(block.count / columns);
  if (row >= 0 && row < rows) return Math.min(next, block.first + block.count - 1);
  const other = plan.blocks[number + direction];
  if (!other) return undefined;
  const start = direction > 0 ? 0 : (Math.ceil(other.count / columns) - 1) * columns;
  return other.first + Math.min(start + column, other.count - 1);
}
