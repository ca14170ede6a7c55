import {
  type CategoryWords,
  ceramics,
  colours,
  diameters,
  fabrics,
  flavours,
  litres,
  metals,
  woods,
} from './vocabulary.ts'

export const homeCategories: readonly CategoryWords[] = [
  {
    slug: 'kitchen',
    name: 'Kitchen',
    code: 'KIT',
    ranges: [
      {
        things: [
          ['Saucepan', 45, 'sauces, soups and porridge'],
          ['Frying Pan', 39, 'searing at high heat'],
          ['Mixing Bowl', 18, 'doughs and large salads'],
          ['Colander', 22, 'pasta and washed greens'],
          ['Casserole', 89, 'slow braises in the oven'],
          ['Cake Tin', 16, 'sponges and cheesecakes'],
        ],
        materials: [...metals, ['Enamel', 0.9]],
        variants: diameters,
      },
      {
        things: [
          ['Chopping Board', 35, 'bread, herbs and everything between'],
          ['Pepper Mill', 28, 'the table as much as the stove'],
          ['Rolling Pin', 19, 'pastry and flatbread'],
          ['Spoon Set', 15, 'pans that must not be scratched'],
        ],
        materials: woods,
        variants: ['Small', 'Medium', 'Large', 'Extra Large'],
      },
    ],
    remarks: [
      'Wash by hand to keep the surface.',
      'Spare parts can be ordered singly.',
      'Comes with a loop for hanging.',
    ],
  },
  {
    slug: 'tableware',
    name: 'Tableware',
    code: 'TAB',
    ranges: [
      {
        things: [
          ['Dinner Plate', 14, 'generous portions'],
          ['Soup Bowl', 12, 'soups and breakfast cereal'],
          ['Mug', 11, 'coffee that stays warm'],
          ['Serving Dish', 32, 'the middle of the table'],
          ['Egg Cup', 6, 'slow Sunday breakfasts'],
          ['Cake Stand', 36, 'birthdays'],
          ['Teapot', 42, 'four cups and no drip'],
          ['Sugar Bowl', 13, 'tea in company'],
        ],
        materials: ceramics,
        variants: colours,
      },
    ],
    remarks: ['Safe in the dishwasher.', 'Stacks with the rest of the range.', 'Fired twice for a hard glaze.'],
  },
  {
    slug: 'living-room',
    name: 'Living Room',
    code: 'LIV',
    ranges: [
      {
        things: [
          ['Armchair', 349, 'long evenings with a book'],
          ['Side Table', 119, 'a lamp and a cup'],
          ['Bookcase', 259, 'two hundred paperbacks'],
          ['Footstool', 89, 'tired legs and surprise guests'],
          ['Coffee Table', 199, 'board games and magazines'],
          ['Wall Shelf', 69, 'plants, radios and photographs'],
          ['Magazine Rack', 45, 'papers that are not read yet'],
        ],
        materials: woods,
        variants: colours,
      },
    ],
    remarks: ['Delivered flat with the one tool it needs.', 'Felt pads are included.', 'From certified forests.'],
  },
  {
    slug: 'bedroom',
    name: 'Bedroom',
    code: 'BED',
    ranges: [
      {
        things: [
          ['Duvet Cover', 79, 'all seasons'],
          ['Pillowcase', 19, 'sleepers who like it cool'],
          ['Blanket', 65, 'the foot of the bed'],
          ['Fitted Sheet', 35, 'mattresses up to thirty centimetres'],
          ['Bedspread', 99, 'a tidy bed in one move'],
          ['Dressing Gown', 75, 'slow mornings'],
        ],
        materials: [...fabrics, ['Percale', 1.1], ['Flannel', 0.95]],
        variants: colours,
      },
    ],
    remarks: ['Washed before it is sold, so it will not shrink.', 'Wash at forty degrees.', 'Sewn with double seams.'],
  },
  {
    slug: 'bathroom',
    name: 'Bathroom',
    code: 'BAT',
    ranges: [
      {
        things: [
          ['Bath Towel', 29, 'drying off in one go'],
          ['Hand Towel', 14, 'guests'],
          ['Bath Mat', 25, 'warm feet on cold tiles'],
          ['Face Cloth', 7, 'the morning after a short night'],
          ['Bathrobe', 69, 'the way from the shower to the coffee'],
          ['Laundry Bag', 22, 'a week of washing'],
          ['Shower Curtain', 32, 'showers of up to two metres'],
        ],
        materials: [...fabrics, ['Bamboo', 1.1], ['Waffle Weave', 1.05]],
        variants: colours,
      },
    ],
    remarks: ['Dries quickly between uses.', 'A loop for hanging is sewn in.', 'Free of dyes that irritate the skin.'],
  },
  {
    slug: 'lighting',
    name: 'Lighting',
    code: 'LIG',
    ranges: [
      {
        things: [
          ['Desk Lamp', 69, 'close work'],
          ['Floor Lamp', 149, 'the dark corner of the room'],
          ['Pendant Light', 99, 'dining tables'],
          ['Wall Light', 59, 'hallways and stairs'],
          ['Bedside Lamp', 45, 'reading without waking anyone'],
          ['Lantern', 39, 'balconies and power cuts'],
        ],
        materials: [...metals, ['Glass', 1.05], ['Paper', 0.6], ['Rattan', 0.9]],
        variants: colours,
      },
    ],
    remarks: ['Bulb included, warm white.', 'Dimmable.', 'The cable is two metres long.'],
  },
  {
    slug: 'garden',
    name: 'Garden',
    code: 'GAR',
    ranges: [
      {
        things: [
          ['Watering Can', 34, 'seedlings and tomatoes'],
          ['Bucket', 18, 'weeds, water and windfall apples'],
          ['Planter', 29, 'herbs by the kitchen door'],
          ['Rain Gauge', 15, 'knowing when not to water'],
        ],
        materials: [...metals, ['Zinc', 1.05], ['Enamel', 0.9]],
        variants: litres,
      },
      {
        things: [
          ['Garden Bench', 189, 'two people and the evening sun'],
          ['Folding Chair', 59, 'guests on the lawn'],
          ['Bird Feeder', 27, 'the small birds of winter'],
          ['Planting Table', 129, 'potting without a sore back'],
          ['Trellis', 35, 'beans, peas and clematis'],
        ],
        materials: [...woods, ['Acacia', 1.25], ['Teak', 1.7]],
        variants: colours,
      },
    ],
    remarks: ['May stay outside all year.', 'Does not mind frost.', 'Guaranteed for ten years.'],
  },
  {
    slug: 'storage',
    name: 'Storage',
    code: 'STO',
    ranges: [
      {
        things: [
          ['Basket', 25, 'toys, logs or laundry'],
          ['Storage Box', 18, 'the things one needs once a year'],
          ['Drawer Organiser', 12, 'cutlery, pens and string'],
          ['Crate', 22, 'records and vegetables alike'],
          ['Tray', 16, 'breakfast in bed'],
          ['Coat Rack', 49, 'five coats and a hat'],
        ],
        materials: [...woods, ['Rattan', 0.9], ['Seagrass', 0.8], ['Felt', 0.75]],
        variants: ['Small', 'Medium', 'Large', 'Extra Large', 'Low', 'Tall', 'Wide', 'Narrow'],
      },
    ],
    remarks: ['Two of them stack.', 'The handles are riveted, not glued.', 'Labels are included.'],
  },
  {
    slug: 'candles-and-scents',
    name: 'Candles and Scents',
    code: 'CAN',
    styles: flavours,
    ranges: [
      {
        things: [
          ['Candle', 19, 'forty hours of quiet light'],
          ['Diffuser', 29, 'a hallway that smells of something nice'],
          ['Room Spray', 16, 'the time after cooking'],
          ['Incense Pack', 9, 'an hour of yoga'],
          ['Bar of Soap', 7, 'hands that work'],
          ['Bath Salt', 12, 'cold evenings'],
        ],
        materials: [
          ['Organic', 1.3],
          ['Natural', 1],
          ['Small Batch', 1.4],
          ['Hand-Poured', 1.2],
          ['Cold-Blended', 1.1],
        ],
        variants: ['Fig', 'Cedar', 'Sea Salt', 'Lavender', 'Orange', 'Rosemary', 'Pine', 'Tonka', 'Mint', 'Unscented'],
      },
    ],
    remarks: ['Poured in small batches.', 'No animal was harmed for it.', 'The jar can be sent back for a refill.'],
  },
  {
    slug: 'pantry',
    name: 'Pantry',
    code: 'PAN',
    styles: flavours,
    ranges: [
      {
        things: [
          ['Coffee', 12, 'espresso and filter alike'],
          ['Black Tea', 8, 'a strong first cup'],
          ['Honey', 9, 'bread, yoghurt and sore throats'],
          ['Olive Oil', 16, 'dressings, not for frying'],
          ['Chocolate', 5, 'sharing, or not'],
          ['Granola', 7, 'breakfasts in a hurry'],
          ['Sea Salt', 6, 'the last pinch'],
        ],
        materials: [
          ['Organic', 1.3],
          ['Single Estate', 1.6],
          ['Fair Trade', 1.2],
          ['Stone Ground', 1.1],
          ['Small Batch', 1.4],
        ],
        variants: ['100 g', '200 g', '250 g', '400 g', '500 g', '750 g', '1 kg', '2 kg'],
      },
    ],
    remarks: ['Keep it cool and dry.', 'Packed without plastic.', 'Best within nine months.'],
  },
]
