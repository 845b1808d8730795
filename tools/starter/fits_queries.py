"""Makes the list for "does anything fit": 200 dev sentences that have a picture, 200 that have none.

Surprising: the second half is written by hand; random words would be too easy to tell apart.

usage: fits_queries.py DATA OUT.tsv
"""
import random
import sys

import data

ABSENT = """an x-ray of a broken knee|a submarine under the ice|a bowl of tomato soup with basil|an open-plan office with rows of empty desks
a spreadsheet of quarterly sales|a spiral galaxy seen through a telescope|bacteria under a microscope|a printed circuit board with chips
a steel mill pouring molten metal|a handwritten shopping list|a passport photo page|a floor plan of an apartment|a plate of sushi with wasabi
an operating room with surgical lamps|a jellyfish glowing in dark water|an emperor penguin colony|a giraffe eating leaves from a tall acacia
a rocket standing on its launch pad|the surface of the moon with craters|an astronaut floating outside a space station|a wind turbine in the sea
an oil rig at night|a container ship being loaded with cranes|a nuclear power plant with cooling towers|a solar panel on a roof
a circuit diagram in blue ink|a page of sheet music|a chess board with only two kings left|a crossword puzzle half filled in|a map of the underground railway
a bar chart with five columns|a receipt from a supermarket|an invoice with a company logo|a medieval manuscript with gold letters|a stained glass window in a cathedral
an empty church with wooden pews|a library shelf full of old books|a marble statue of a Roman emperor|an Egyptian mummy in a museum case|a dinosaur skeleton in a museum
a suit of armour behind glass|a grand piano in an empty concert hall|a violin lying in its case|a drum kit in a recording studio|a mixing desk with many sliders
a server room with blinking lights|a hard disk opened to show its platters|a laptop keyboard seen from close up|a computer screen full of source code|a smartphone with a cracked screen
a kitchen with white cupboards and a steel oven|a refrigerator with its door open|a washing machine in a basement|a made bed with grey pillows|a bathroom with a blue tiled shower
a walk-in wardrobe with hanging suits|a dining table set for twelve with candles|a crystal chandelier|a fireplace with burning logs in a living room|an empty swimming pool drained for repair
a birthday cake with lit candles|a loaf of sourdough bread|a cheese board with grapes|a glass of red wine beside a bottle|a cup of cappuccino with a leaf drawn in the foam
a bowl of ramen with an egg|a pepperoni pizza in a box|a basket of strawberries|sliced avocado on toast|a jar of pickled cucumbers
a pile of raw oysters on ice|spices in sacks at a market stall|a field of ripe wheat without people|a vineyard in autumn|a greenhouse full of orchids
a cactus in a clay pot|a bonsai tree on a shelf|a macro photo of a bee's eye|a monarch butterfly chrysalis|a spider web with dew drops
a scorpion under ultraviolet light|a chameleon on a branch|a cobra raising its hood|a crocodile with open jaws|a hippopotamus in a muddy river
a polar bear on drifting ice|a koala asleep in a eucalyptus tree|a kangaroo with a joey|an octopus on a coral reef|a shark behind aquarium glass
a sea turtle swimming over coral|a humpback whale breaching|a colony of bats in a cave|an owl on a snowy post at night|a peacock with its tail spread
a flamingo standing on one leg|a toucan with a bright bill|a hedgehog curled into a ball|a hamster in a wheel|a goldfish in a bowl
a dairy cow being milked by a machine|sheep being sheared in a barn|a pig in a sty|chickens in a battery cage|a beehive with its keeper's smoker
a coal mine shaft with rails|a quarry blasting limestone|a saw mill with stacked planks|a robot arm welding a car body|an assembly line of engines
a jet engine taken apart in a hangar|the cockpit of an airliner|a fighter jet taking off from a carrier|a helicopter landing on a hospital roof|a hot air balloon over Cappadocia
a steam locomotive crossing a viaduct|a metro train in a tunnel|a tram depot|a truck overturned on the motorway|a forklift between warehouse shelves
a dashboard with a speedometer at night|the engine bay of an old car|a flat tyre being measured|a petrol pump display|a parking garage without cars
a lighthouse in a storm|a volcano erupting lava at night|lightning over a city skyline|a tornado crossing a plain|the northern lights above a frozen lake
an aerial view of terraced rice fields|a desert with a camel caravan|sand dunes seen from a satellite|an iceberg seen from below|a cave with stalactites
a hurricane photographed from orbit|the rings of Saturn|a solar eclipse with its corona|a map of ocean currents|a weather radar image
a brain scan in false colours|a dentist's chair with a lamp|a row of test tubes with blue liquid|a centrifuge in a laboratory|a blood sample on a slide
a wheel of pills sorted by day|an ultrasound picture of a baby|an electrocardiogram strip|an ambulance interior with a stretcher|a hospital corridor without people
a courtroom with an empty bench|a parliament in session|a ballot box on a table|a stack of euro banknotes|gold bars in a vault
an old coin with a king's head|a postage stamp with a bird|a wax seal on an envelope|a typewriter with a sheet of paper|a fountain pen on a contract
a pocket watch with its back open|a diamond ring in a velvet box|a sewing machine with red thread|a loom with half a carpet|knitting needles in a ball of wool
a potter's kiln full of vases|a blacksmith's anvil|a toolbox with wrenches and screws|a bicycle wheel being trued in a stand with no rider|a 3D printer making a gear
a fuse box with labels|a gas meter|a leaking pipe under a sink|a roof being covered with slates from above|a demolished building's rubble with an excavator
a bank of elevator buttons|an escalator in an empty shopping mall|shop window mannequins in evening dress|a rack of leather handbags|a shelf of perfume bottles
a pharmacy counter|a supermarket aisle of cereal boxes|a vending machine with soft drinks|a hotel lobby with marble pillars|a conference room with a projector
a slide with bullet points|a whiteboard covered in equations|a periodic table poster|a globe on a teacher's desk|a microscope beside a notebook
a comic strip of three panels|an oil painting of a vase of flowers|a charcoal drawing of a hand|a Japanese woodblock print of a wave|an abstract painting of coloured squares
a logo of a blue bird|a QR code on white paper|a screenshot of an error message|a video game scene with dragons|a cartoon robot waving
a knight's castle on a cliff|the pyramids of Giza|the Taj Mahal at dawn|a Buddhist temple with golden roof|a suspension bridge in thick fog
a satellite dish array in a desert|a telescope dome under stars|a control room with many screens|a diving bell|a treasure chest on the sea floor
a Christmas tree with wrapped presents|a jack-o'-lantern on a step at night|a menorah with lit candles|Easter eggs in a nest|a wedding cake with three tiers"""


def main():
    folder, out = sys.argv[1], sys.argv[2]
    rng = random.Random(7)
    dev = data.captioned(folder, "dev")
    yes = [rng.choice(ss) for _, ss in rng.sample(dev, 200)]
    no = [s.strip() for line in ABSENT.split("\n") for s in line.split("|") if s.strip()]
    assert len(set(no)) == len(no)
    no = rng.sample(no, 200)
    with open(out, "w", encoding="utf-8") as f:
        f.write("query\tmatch\n")
        f.writelines(f"{s}\t1\n" for s in yes)
        f.writelines(f"{s}\t0\n" for s in no)


if __name__ == "__main__":
    main()
